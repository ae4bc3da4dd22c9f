"""Which names give code a capability: Python's by dotted name, those of other languages by import and word.

Sources: the standard libraries' own documentation; OpenSSF Package Analysis and capslock, for what is worth a look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

COMMENTS = ("#", "//", "/*", "* ", "*/", "--", "<!--")
_KINDS: Mapping[str, re.Pattern[str]] = {
    "python": re.compile(r".*\.(py|pyw|pyi|pth|wsgi)\Z"),
    "javascript": re.compile(r".*\.([cm]?[jt]sx?|vue|svelte|html?)\Z"),
    "go": re.compile(r".*\.go\Z"),
    "rust": re.compile(r".*\.rs\Z"),
    "jvm": re.compile(r".*\.(java|kt|kts|scala|groovy|gradle|cs)\Z"),
    "script": re.compile(r".*\.(php|rb|pl|pm|lua|rake|gemspec|ps1)\Z|(.*/)?(Rakefile|Gemfile)\Z"),
    "c": re.compile(r".*\.(c|h|cc|cpp|hpp|cxx|m|swift|zig)\Z"),
    "shell": re.compile(r".*\.(sh|bash|zsh|ksh|mk|mak|bats|bat|cmd)\Z|(.*/)?(Makefile|GNUmakefile|Dockerfile|"
            r"Containerfile|Justfile|Jenkinsfile|Procfile)[^/]*\Z|(.*/)?(\.husky|\.githooks)/[^/]+\Z|"
            r"(.*/)?configure(\.ac)?\Z"),
    "settings": re.compile(r".*\.(ya?ml|service|timer|desktop|tf|hcl)\Z|(.*/)?(package\.json|tox\.ini|setup\.cfg|"
            r"pyproject\.toml)\Z"),
}  # fmt: skip


def read_as(path: str) -> str:
    """Return as what a file is read; empty for one whose capabilities nobody here reads."""
    return next((kind for kind, pattern in _KINDS.items() if path and pattern.match(path)), "")


def _table(rows: Mapping[str, str]) -> Mapping[str, str]:
    return {name: kind for kind, names in rows.items() for name in names.split()}


PYTHON: Mapping[str, str] = _table({
    "network": "socket socketserver ssl http.client http.server urllib.request urllib3 requests httpx aiohttp smtplib"
    " ftplib telnetlib poplib imaplib nntplib xmlrpc websocket websockets paramiko fabric dns scapy grpc zmq pika"
    " boto3 botocore pycurl asyncio.open_connection asyncio.start_server slack_sdk webbrowser treq niquests",
    "process": "subprocess pty pexpect sh plumbum commands os.system os.popen os.execl os.execle os.execlp os.execv"
    " os.execve os.execvp os.execvpe os.spawnl os.spawnlp os.spawnv os.spawnve os.spawnvp os.posix_spawn"
    " os.posix_spawnp os.fork os.forkpty os.startfile asyncio.create_subprocess_exec asyncio.create_subprocess_shell",
    "code": "eval exec compile __import__ importlib.import_module importlib.util importlib.machinery "
            "runpy code codeop"
    " types.CodeType types.FunctionType imp builtins.eval builtins.exec builtins.compile zipimport __builtins__",
    "native": "ctypes cffi mmap _ctypes",
    "objects": "pickle cPickle _pickle marshal shelve dill cloudpickle joblib jsonpickle yaml.load yaml.load_all"
    " yaml.unsafe_load yaml.full_load yaml.Loader yaml.UnsafeLoader torch.load pandas.read_pickle",
    "environment": "os.environ os.environb os.getenv os.getenvb getpass platform.node pwd os.getlogin keyring netrc",
    "outside": "os.path.expanduser pathlib.Path.home site.getsitepackages site.getusersitepackages",
    "rights": "os.chmod os.chown os.lchown os.fchmod os.setuid os.setgid os.seteuid os.umask os.setxattr",
    "hooks": "atexit sys.settrace sys.setprofile sys.meta_path sys.path_hooks sys.addaudithook sys.excepthook"
    " sys._getframe gc.get_objects gc.get_referrers builtins sitecustomize",
})  # fmt: skip
DECIDES: Mapping[str, tuple[str, ...]] = {
    name: ("clock",) for name in ("now", "today", "utcnow", "time", "time_ns", "gmtime", "localtime", "isoweekday")
}
"""The last part of a call's name → what decides when its outcome is compared."""


OPENS = r"\w*(?:TOKEN|SECRET|PASS|KEY|CRED|AUTH|COOKIE|SESSION)\w*"
"""A variable of the environment whose name says that it opens something."""
IS_SECRET = re.compile(OPENS, re.IGNORECASE)


def _words(rows: Mapping[str, str]) -> Mapping[str, re.Pattern[str]]:
    return {name: re.compile(pattern) for name, pattern in rows.items()}


_JS_MODULE = r"(?:from|require\(|import\(|import)\s*[\"'`](?:node:)?(?:{})(?:/[\w/-]+)?[\"'`]"
_SHELL_WORD = r"(?:^|[\s;&|(`@\"'])(?:{})(?=[\s;&|)\"'`]|$)"
WORDS: Mapping[str, Mapping[str, re.Pattern[str]]] = {
    "javascript": _words({
        "network": _JS_MODULE.format("https?|http2|net|tls|dgram|dns|axios|node-fetch|got|request|"
            r"superagent|ws|undici|"
            "nodemailer|ssh2|socket\\.io-client")
        + r"|\b(?:fetch|importScripts)\s*\(|XMLHttpRequest|sendBeacon|\bnew\s+(?:WebSocket|"
            r"EventSource|Image|RTCPeerConnection)\b",
        "process": _JS_MODULE.format("child_process|cluster|execa|shelljs|cross-spawn|node-pty")
        + r"|\bDeno\.(?:run|Command)\b|\bBun\.spawn",
        "code": _JS_MODULE.format("vm|vm2|module|repl")
        + r"|\beval\b|\bFunction\s*\(|\[[\"'`]constructor[\"'`]\]|\.constructor\s*\(|"
            r"\bWebAssembly\b|\b(?:require|import)\(\s*[^\"'`\s)]|__proto__|\bReflect\.(?:construct|"
            r"apply)",
        "native": _JS_MODULE.format("ffi|ffi-napi|koffi") + r"|process\.(?:dlopen|binding|_linkedBinding)",
        "objects": _JS_MODULE.format("node-serialize|serialize-to-js|funcster")
        + r"|\bv8\.deserialize|\bunserialize\(",
        "environment": _JS_MODULE.format("os")
        + r"|\b(?:process|Deno)\.env\b(?!\.\w)|\bhomedir\(|\bprocess\.env\." + OPENS,
        "outside": _JS_MODULE.format("fs|fs/promises|fs-extra") + r"|[\"'`](?:~/|/etc/|/root/|/proc/|/home/)",
        "rights": r"\bchmod(?:Sync)?\(|\bsetuid\(|NODE_TLS_REJECT_UNAUTHORIZED|rejectUnauthorized",
        "browser": r"document\.cookie|\b(?:local|session)Storage\b|\bindexedDB\b|navigator\.clipboard|"
            r"\bFormData\b|[\"'](?:key(?:down|press|up)|submit|paste|beforeunload|"
            r"visibilitychange)[\"']|\bchrome\.(?:cookies|tabs|webRequest)|window\.ethereum",
        "hooks": r"\b(?:globalThis|global|window|module\.constructor)\.\w+\s*=[^=]|"
            r"\.prototype\.\w+\s*=[^=]|Object\.defineProperty\(\s*(?:global|window|Object)|"
            r"require\.cache|process\.on\(",
        "clock": r"Date\.now\(\)\s*(?:[-+*/%]\s*\w+\s*)?[<>]=?|new Date\(\)[\w.()]*\s*[<>]=?|"
            r"\.get(?:Full)?(?:Year|Month|Date|Day|Hours|Time)\(\)\s*(?:[<>]|[=!]==?)",
        "chance": r"Math\.random\(\)\s*[<>]|[<>]=?\s*Math\.random\(\)",
    }),
    "go": _words({
        "network": r"\"(?:net|net/http|net/smtp|net/rpc|net/url/dial|crypto/tls|golang\.org/x/net/[\w/]+|"
            r"google\.golang\.org/grpc|github\.com/gorilla/websocket)\"",
        "process": r"\"os/exec\"|syscall\.(?:Exec|ForkExec)|os\.StartProcess",
        "code": r"\"plugin\"|\"github\.com/(?:traefik/yaegi|robertkrimen/otto|dop251/goja)",
        "native": r"\"(?:unsafe|syscall|C|golang\.org/x/sys/unix)\"",
        "objects": r"\"encoding/gob\"",
        "environment": r"\bos\.(?:Environ|UserHomeDir|Hostname)\b|\"os/user\"|\bos\.(?:Getenv|LookupEnv)\((?!\")|"
            r"Env\(\"" + OPENS,
        "outside": r"\"(?:~/|/etc/|/root/|/proc/|/home/)",
        "rights": r"\bos\.(?:Chmod|Chown)\(|InsecureSkipVerify|0o?[67]77\b",
        "hooks": r"^func init\(\)|//go:(?:generate|linkname|embed)",
        "clock": r"time\.Now\(\)\.(?:After|Before|Unix\w*\(\)\s*[<>]|Weekday|Year|Hour)|\bafter\(time\.Now",
        "chance": r"\brand\.\w+\([^)]*\)\s*(?:[<>]|==)|\"math/rand(?:/v2)?\"",
    }),
    "rust": _words({
        "network": r"\b(?:std::net|tokio::net|reqwest|hyper|ureq|TcpStream|UdpSocket|curl|isahc)\b",
        "process": r"\bprocess::Command\b|\bCommand::new\b|\blibc::exec",
        "code": r"\binclude!\(|\binclude_bytes!\(|\bproc_macro\b",
        "native": r"\bunsafe\b|\blibloading\b|extern\s+\"C\"|\btransmute\b|\basm!\(",
        "objects": r"\bbincode::deserialize",
        "environment": r"\benv::(?:vars|home_dir)\b|\bdirs::home_dir|env::var(?:_os)?\((?!\")|"
            r"env::var(?:_os)?\(\"" + OPENS,
        "outside": r"\"(?:~/|/etc/|/root/|/proc/|/home/)",
        "rights": r"set_permissions|danger_accept_invalid|set_mode\(",
        "hooks": r"#\[ctor|#\[no_mangle|link_section", "clock": r"SystemTime::now\(\)|Utc::now\(\)\s*[<>]",
        "chance": r"rand::random|thread_rng",
    }),
    "jvm": _words({
        "network": r"\bjava\.net\b|\bHttpClient\b|\bURL\(|\bSocket\(|\bOkHttp|System\.Net\b|\bWebClient\b",
        "process": r"getRuntime\(\)|\bProcessBuilder\b|Process\.Start|\.execute\(\)|commandLine\b",
        "code": r"Class\.forName|ScriptEngine|URLClassLoader|defineClass|Assembly\.Load|GroovyShell",
        "native": r"System\.load|\bUnsafe\b|DllImport",
        "rights": r"TrustManager|HostnameVerifier|setAccessible|setExecutable",
        "objects": r"ObjectInputStream|BinaryFormatter|XMLDecoder|TypeNameHandling|XStream",
        "environment": r"System\.getenv|Environment\.GetEnvironment|user\.home",
        "outside": r"\"(?:~/|/etc/|/root/|/proc/|/home/)", "hooks": r"addShutdownHook|\bpremain\b",
        "clock": r"currentTimeMillis\(\)\s*[<>]|\.now\(\)\.is(?:After|Before)",
        "chance": r"Math\.random\(\)\s*[<>]",
    }),
    "script": _words({
        "network": r"curl_exec|fsockopen|file_get_contents\(\s*[\"']https?|net/http|open-uri|\bTCPSocket|"
            r"LWP::|IO::Socket|Invoke-WebRequest|DownloadString|socket",
        "process": r"\b(?:system|exec|shell_exec|passthru|proc_open|popen|spawn)\b|`[^`]+`|Open3|os\.execute|"
            r"Start-Process",
        "code": r"\beval\b|\bassert\(|create_function|instance_eval|class_eval|\bInvoke-Expression|"
            r"\biex\b|loadstring|\bsend\(",
        "objects": r"\bunserialize\(|Marshal\.load|YAML\.(?:unsafe_)?load\b",
        "native": r"\bFFI\b|\bFiddle\b|\bdl\(",
        "environment": r"\bENV\b|\bgetenv\(|\$_SERVER|\$env:",
        "outside": r"[\"'](?:~/|/etc/|/root/|/proc/|/home/)",
        "rights": r"\bchmod\b|\bchown\b|VERIFY_NONE|VERIFYPEER",
        "hooks": r"\bat_exit\b|register_shutdown_function|BEGIN\s*\{",
        "chance": r"\b(?:mt_)?rand\([^)]*\)\s*[<>=]",
        "clock": r"\bTime\.now\s*[<>]|\btime\(\)\s*[<>]",
    }),
    "c": _words({
        "network": r"\b(?:socket|connect|getaddrinfo|gethostbyname|curl_easy_\w+|URLSession)\s*\(?|sys/socket\.h",
        "process": r"\b(?:system|popen|execl|execv|execve|execvp|fork|posix_spawn)\s*\(|\bProcess\(\)",
        "code": r"\bdlopen\b|\bdlsym\b", "native": r"\b(?:mprotect|ptrace|process_vm_writev)\b|__asm__|\basm\b",
        "environment": r"\bgetenv\b|\benviron\b", "outside": r"\"(?:~/|/etc/|/root/|/proc/|/home/)",
        "rights": r"\b(?:chmod|chown|setuid|setgid|SSL_VERIFY_NONE)\b",
        "hooks": r"constructor\)\)|\bifunc\b|LD_PRELOAD",
        "clock": r"\btime\((?:NULL|0|nullptr)\)\s*[<>]", "chance": r"\brand\(\)\s*(?:%\s*\w+\s*)?(?:[<>]|==)",
    }),
    "shell": _words({
        "network": _SHELL_WORD.format(r"curl|wget|nc|ncat|netcat|socat|ssh|scp|sftp|rsync|ftp|telnet|dig|"
            r"nslookup|aws|gcloud|"
            r"gsutil|az|gh|twine|git\s+(?:push|clone|remote|fetch|pull)|openssl\s+s_client|(?:docker|"
            r"podman)\s+(?:push|pull|login)|(?:npm|cargo|gem)\s+publish")
        + r"|/dev/(?:tcp|udp)/|^ADD\s+https?:|urlopen|requests\.|https?\.get",
        "process": _SHELL_WORD.format(r"(?:python3?|perl|ruby|node|php)\s+-[ceEr]|nohup|setsid|disown|"
            r"at\s+now|crontab|systemctl"),
        "code": _SHELL_WORD.format(r"eval|source\s+<\(.*|base64\s+(?:-d|--decode|-D)|xxd\s+-r\S*|(?:ba|z|"
            r"da)?sh\s+-c|(?:ba|z|"
            r"da)?sh\s+<\(.*") + r"|\|\s*(?:ba|z|da)?sh\b|\bexec\(",
        "environment": _SHELL_WORD.format(r"env|printenv|export\s+-p|declare\s+-[px]+|set(?=\s*[|>])|"
            r"whoami|hostname|id")
        + r"|/proc/self/environ",
        "outside": r"(?:~|\$HOME|\$\{HOME\})/\.|(?:^|[\s\"'=>])/(?:etc|root|home|proc|var/spool)/",
        "rights": _SHELL_WORD.format(r"chmod|chown|sudo|setcap|setfacl|usermod|useradd|visudo|xattr|su")
        + r"|--privileged|docker\.sock|^USER\s+root|NOPASSWD",
        "hooks": r"core\.hooksPath|\.git/hooks|LD_PRELOAD|PYTHONSTARTUP|NODE_OPTIONS|PROMPT_COMMAND|"
            r"\btrap\b|\balias\b",
    }),
    "settings": _words({
        "network": _SHELL_WORD.format(r"curl|wget|nc|ncat|ssh|scp|rsync|git\s+push") + r"|/dev/tcp/",
        "process": _SHELL_WORD.format(r"(?:python3?|perl|ruby|node|php)\s+-[ceEr]")
        + r"|^\s*ExecStart|\"(?:pre|post)?install\"|\"prepare\"",
        "code": r"\|\s*(?:ba|z|da)?sh\b|base64\s+(?:-d|--decode)|" + _SHELL_WORD.format("eval"),
        "environment": _SHELL_WORD.format(r"printenv|env\s*\|.*")
        + r"|toJSON\(\s*(?:secrets|env|github)|secrets\.|github\.token|GITHUB_TOKEN",
        "rights": r"privileged:\s*true|host(?:PID|Network|IPC|Path)\b|(?:pid|ipc|network_mode|network|"
            r"userns_mode):\s*[\"']?host|docker\.sock|cap_add|SYS_ADMIN|"
            r"allowPrivilegeEscalation:\s*true|runAsUser:\s*0\b|(?:seccomp|apparmor)[:=]unconfined|"
            r":\s*write(?:-all)?\s*$|pull_request_target|workflow_run|cluster-admin|0\.0\.0\.0/0",
        "hooks": r"repository_dispatch|self-hosted|continue-on-error:\s*true|\|\|\s*true",
    }),
}  # fmt: skip
"""Language → capability → what shows it on a line."""
