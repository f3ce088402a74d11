"""Which distribution provides an imported module, where the two names differ.

Knows names only: nothing is imported or looked up. An unlisted module is taken to be named as its
distribution.
"""

import re
import sys

# Modules that were, or are going to be, in some version's standard library. Installing whatever a package
# index offers under such a name would hand the script to whoever took the name.
_STANDARD_LIBRARY_ELSEWHERE = frozenset(
    {
        *(
            "_typeshed",
            "annotationlib",
            "asynchat",
            "asyncore",
            "cgi",
            "cgitb",
            "chunk",
            "compression",
            "crypt",
        ),
        *(
            "distutils",
            "imghdr",
            "imp",
            "lib2to3",
            "mailcap",
            "msilib",
            "nis",
            "nntplib",
            "ossaudiodev",
            "pipes",
        ),
        *("smtpd", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
    }
)

# Namespaces shared by many distributions: alone they name none.
_NAMESPACES = frozenset(
    {"azure", "google", "google.cloud", "google.identity", "jaraco", "opentelemetry", "zope"}
)

# azure.storage.blob comes from azure-storage-blob, azure.identity.aio from azure-identity.
_AZURE_GROUPS = frozenset(
    {
        *(
            "ai",
            "cognitiveservices",
            "communication",
            "containerregistry",
            "data",
            "developer",
            "digitaltwins",
        ),
        *(
            "health",
            "iot",
            "keyvault",
            "maps",
            "messaging",
            "mgmt",
            "mixedreality",
            "monitor",
            "schemaregistry",
        ),
        *("search", "security", "storage", "synapse"),
    }
)

DISTRIBUTIONS: dict[str, str] = {
    "Crypto": "pycryptodome",
    "Cryptodome": "pycryptodomex",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "Xlib": "python-xlib",
    "absl": "absl-py",
    "airflow": "apache-airflow",
    "apiclient": "google-api-python-client",
    "attr": "attrs",
    "Bio": "biopython",
    "bs4": "beautifulsoup4",
    "cassandra": "cassandra-driver",
    "community": "python-louvain",
    "consul": "python-consul",
    # The headless build: a worker has no display, and the full one needs its libraries.
    "cv2": "opencv-python-headless",
    "databricks.sdk": "databricks-sdk",
    "databricks.sql": "databricks-sql-connector",
    "dateutil": "python-dateutil",
    "discord": "discord.py",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "engineio": "python-engineio",
    "faiss": "faiss-cpu",
    "ffmpeg": "ffmpeg-python",
    "fitz": "pymupdf",
    "git": "GitPython",
    "github": "PyGithub",
    "gitlab": "python-gitlab",
    "google.analytics.admin": "google-analytics-admin",
    "google.analytics.data": "google-analytics-data",
    "google.api": "googleapis-common-protos",
    "google.api_core": "google-api-core",
    "google.cloud.exceptions": "google-cloud-core",
    "google.cloud.secretmanager": "google-cloud-secret-manager",
    "google.cloud.sql": "cloud-sql-python-connector",
    "google.iam": "grpc-google-iam-v1",
    "google.longrunning": "googleapis-common-protos",
    "google.oauth2": "google-auth",
    "google.protobuf": "protobuf",
    "google.resumable_media": "google-resumable-media",
    "google.rpc": "googleapis-common-protos",
    "google.type": "googleapis-common-protos",
    "googleapiclient": "google-api-python-client",
    "grpc": "grpcio",
    "grpc_status": "grpcio-status",
    "grpc_tools": "grpcio-tools",
    "haystack": "haystack-ai",
    "hcl2": "python-hcl2",
    "hubspot": "hubspot-api-client",
    "impala": "impyla",
    "jenkins": "python-jenkins",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "kafka": "kafka-python",
    "keycloak": "python-keycloak",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "memcache": "python-memcached",
    "mpl_toolkits": "matplotlib",
    "msgraph": "msgraph-sdk",
    "multipart": "python-multipart",
    "mysql": "mysql-connector-python",
    "nacl": "PyNaCl",
    "office365": "Office365-REST-Python-Client",
    "opensearchpy": "opensearch-py",
    "opentelemetry.exporter.otlp": "opentelemetry-exporter-otlp",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "osgeo": "GDAL",
    "pact": "pact-python",
    "paho": "paho-mqtt",
    "past": "future",
    "pkg_resources": "setuptools",
    "plaid": "plaid-python",
    "playhouse": "peewee",
    "pptx": "python-pptx",
    # The wheels that carry libpq: the plain distributions want it, or a compiler, on the machine.
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "pylab": "matplotlib",
    "pythoncom": "pywin32",
    "pywintypes": "pywin32",
    "rapidjson": "python-rapidjson",
    "rest_framework": "djangorestframework",
    "ruamel": "ruamel.yaml",
    "sass": "libsass",
    "serial": "pyserial",
    "shapefile": "pyshp",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slack": "slackclient",
    "slugify": "python-slugify",
    "smb": "pysmb",
    "snowflake": "snowflake-connector-python",
    "snowflake.connector": "snowflake-connector-python",
    "snowflake.snowpark": "snowflake-snowpark-python",
    "snowflake.sqlalchemy": "snowflake-sqlalchemy",
    "socketio": "python-socketio",
    "socks": "PySocks",
    "surprise": "scikit-surprise",
    "talib": "TA-Lib",
    "telegram": "python-telegram-bot",
    "telebot": "pyTelegramBotAPI",
    "twitter": "python-twitter",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "win32api": "pywin32",
    "win32com": "pywin32",
    "wx": "wxPython",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}


def distribution_of(module: str) -> str | None:
    """The distribution that provides `module`, dotted as imported.

    None for the standard library and for a bare namespace.
    """
    parts = module.split(".")
    top = parts[0]
    if top in sys.stdlib_module_names or top in _STANDARD_LIBRARY_ELSEWHERE:
        return None
    for length in range(len(parts), 0, -1):
        if found := DISTRIBUTIONS.get(".".join(parts[:length])):
            return found
    if module in _NAMESPACES:
        return None
    return _of_namespace(parts) or top


def _of_namespace(parts: list[str]) -> str | None:
    match parts:
        case ["google", "cloud", service, *_]:
            # google.cloud.pubsub_v1 is a version of the interface within google-cloud-pubsub.
            plain = re.sub(r"_v\d+\w*$", "", service)
            return DISTRIBUTIONS.get(f"google.cloud.{plain}") or f"google-cloud-{_hyphenated(plain)}"
        case ["google" | "jaraco" | "zope", name, *_]:
            return f"{parts[0]}.{name}" if parts[0] != "google" else f"google-{_hyphenated(name)}"
        case ["azure", group, name, *_] if group in _AZURE_GROUPS and name.islower():
            return f"azure-{group}-{_hyphenated(name)}"
        case ["azure", name, *_]:
            return f"azure-{_hyphenated(name)}"
        case ["opentelemetry", *_]:
            return "opentelemetry-api"
    return None


def _hyphenated(module: str) -> str:
    return module.replace("_", "-")
