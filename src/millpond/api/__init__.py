"""HTTP: routes per noun, authentication, the one map from errors to statuses, event streams, the OpenAPI document."""
