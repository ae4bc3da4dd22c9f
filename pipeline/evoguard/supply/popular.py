"""Names that look-alikes are made of: a short list of our own, by ecosystem. It is no ranking and needs no upkeep."""

from __future__ import annotations

from collections.abc import Mapping

from evoguard.supply.types import Ecosystem

_PYPI = """
aiohttp alembic anyio argon2-cffi arrow asyncpg attrs babel bcrypt beautifulsoup4 black boto3 botocore cachetools
celery certifi cffi charset-normalizer click cloudpickle colorama coverage cryptography cython dask django docker
docutils fastapi filelock flake8 flask fsspec gitpython google-auth greenlet grpcio gunicorn h11 httpcore httpx
hypothesis idna importlib-metadata isort itsdangerous jinja2 jmespath jsonschema keras kubernetes langchain langgraph
lxml mako markdown markupsafe matplotlib multidict mypy networkx numpy oauthlib openai openpyxl orjson packaging
pandas paramiko pillow pip platformdirs pluggy poetry protobuf psutil psycopg2 pyarrow pyasn1 pycparser pydantic
pydantic-core pygments pyjwt pymongo pymysql pynacl pyopenssl pyparsing pytest python-dateutil python-dotenv pytz
pyyaml redis regex requests rich ruff s3transfer scikit-learn scipy selenium sentry-sdk setuptools six sniffio
sortedcontainers sqlalchemy starlette sympy tensorflow tomli torch tornado tox tqdm transformers twisted typer
typing-extensions tzdata urllib3 uvicorn uvloop virtualenv wasmtime watchdog websockets werkzeug wheel wrapt yarl zipp
"""
_NPM = """
@babel/core @types/node ajv angular ansi-styles async axios babel-core bcrypt bluebird body-parser bootstrap
browserify chai chalk cheerio chokidar classnames colors commander concurrently cookie-parser core-js cors cross-env
cross-spawn crypto-js d3 date-fns dayjs debug discord.js dotenv ejs electron esbuild eslint ethers event-stream
express fs-extra glob graphql gulp handlebars helmet http-proxy husky immutable inquirer ioredis jest jquery js-yaml
jsonwebtoken karma koa left-pad lodash lru-cache marked minimist mkdirp mocha moment mongodb mongoose morgan multer
mysql nanoid next node-fetch node-sass nodemailer nodemon nuxt passport pg pino postcss prettier prisma prop-types
puppeteer qs ramda react react-dom react-router redux request rimraf rollup rxjs sass semver sequelize sharp shelljs
socket.io socket.io-client sqlite3 styled-components supertest tailwindcss through2 ts-node tslib typescript
ua-parser-js underscore uuid validator vite vue vue-router webpack winston ws yargs zod
"""
_GO = """
github.com/aws/aws-sdk-go github.com/gin-gonic/gin github.com/go-chi/chi github.com/go-redis/redis
github.com/go-sql-driver/mysql github.com/gogo/protobuf github.com/golang/protobuf github.com/google/uuid
github.com/gorilla/mux github.com/gorilla/websocket github.com/hashicorp/vault github.com/jackc/pgx
github.com/labstack/echo github.com/lib/pq github.com/pkg/errors github.com/prometheus/client_golang
github.com/sirupsen/logrus github.com/spf13/cobra github.com/spf13/viper github.com/stretchr/testify go.uber.org/zap
golang.org/x/crypto golang.org/x/net golang.org/x/sync golang.org/x/sys golang.org/x/text google.golang.org/grpc
gopkg.in/yaml.v3 k8s.io/api k8s.io/client-go
"""
_CRATES = """
actix-web anyhow async-trait axum base64 bitflags bytes chrono clap crossbeam diesel env-logger futures hashbrown hyper
indexmap itertools lazy-static libc memchr num-traits once-cell openssl parking-lot proc-macro2 rand rayon regex reqwest
rustls semver serde serde-derive serde-json sha2 sqlx syn tempfile thiserror time tokio tonic tower tracing url uuid
"""
_ACTIONS = """
actions/cache actions/checkout actions/download-artifact actions/github-script actions/setup-go actions/setup-java
actions/setup-node actions/setup-python actions/upload-artifact aws-actions/configure-aws-credentials
codecov/codecov-action docker/build-push-action docker/login-action docker/setup-buildx-action github/codeql-action
softprops/action-gh-release
"""
_IMAGES = """
alpine busybox debian docker golang httpd mariadb mongo mysql nginx node openjdk php postgres python rabbitmq redis
ruby rust traefik ubuntu
"""
POPULAR: Mapping[Ecosystem, frozenset[str]] = {
    "PyPI": frozenset(_PYPI.split()), "npm": frozenset(_NPM.split()), "Go": frozenset(_GO.split()),
    "crates.io": frozenset(_CRATES.split()),
    "GitHub Actions": frozenset(_ACTIONS.split()), "docker": frozenset(_IMAGES.split()),
}  # fmt: skip
