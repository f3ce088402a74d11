"""How scripts run: one package a language, all behind the contract of `runtimes.contract`."""
