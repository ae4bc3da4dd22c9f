"""Probes: each tries one thing from inside the sandbox. Data only; `bench/escapes.py` runs and judges them.

A row is (name, what must come of it, expression). `denied`: the attempt must end in an error of the operating system
or a signal. `blind`: it may answer, and the answer must hold nothing of the host. `guest`: it may succeed, for what it
changes is the guest's own; the host's facts before and after say whether that is so.
"""

from __future__ import annotations

DRIVER = '''
import array, ctypes, json, os, pathlib, resource, select, signal, socket, struct, subprocess, sys, time

WORLD = json.loads(sys.argv[1])
SECRET, FOLDER, PORT, ABSTRACT = (WORLD[k] for k in ("file", "folder", "port", "abstract"))
LIBC = ctypes.CDLL(None, use_errno=True)

def read(path, size=65536):
    with open(path, "rb") as file:
        return file.read(size).decode("utf-8", "replace")

def write(path, text="evoguard"):
    handle = os.open(path, os.O_WRONLY)
    return os.write(handle, text.encode())

def put(path):
    return os.close(os.open(path, os.O_WRONLY | os.O_CREAT)) or "made"

def names(path):
    return " ".join(sorted(os.listdir(path)))

def called(name, *args):
    """Call a function of the C library; -1 is an OSError."""
    ctypes.set_errno(0)
    answer = getattr(LIBC, name)(*args)
    if answer == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer

def sys_call(number, *args):
    return called("syscall", ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))

def joined(family, where, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as sock:
        sock.settimeout(2)
        sock.connect(where)
        return sock.recv(4096).decode("utf-8", "replace") or "connected"

def sent(where, data, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.sendto(data, where)
        return sock.recv(4096)

def descriptors():
    found = []
    for fd in range(1024):
        try:
            found.append(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
            os.lseek(fd, 0, 0)
            found.append(os.read(fd, 4096).decode("utf-8", "replace"))
        except OSError:
            continue
    return found

def setuid_files():
    found = []
    for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib"):
        for top, _, files in os.walk(folder):
            for name in files:
                path = os.path.join(top, name)
                try:
                    if os.lstat(path).st_mode & 0o6000:
                        found.append(path)
                except OSError:
                    continue
    return found

def raised():
    for path in setuid_files():
        done = subprocess.run([path, "-c", "id"], capture_output=True, text=True, timeout=3, stdin=subprocess.DEVNULL)
        if "uid=0" in done.stdout:
            return path
    raise PermissionError("none of them gave root")

def environments():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(read(f"/proc/{pid}/environ"))
        except OSError:
            continue
    return found

def first_commands():
    return [read(f"/proc/{p}/cmdline").replace(SECRET, "") for p in os.listdir("/proc") if p.isdigit() and int(p) < 3]

def small(size=32):
    return ctypes.create_string_buffer(size)

def roots():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for way in ("root", "cwd"):
            try:
                found.append(read(f"/proc/{pid}/{way}{SECRET}"))
            except OSError:
                continue
    return found

def one(expression):
    try:
        return {"value": repr(eval(expression))[:65536]}
    except OSError as err:
        return {"denied": type(err).__name__}
    except BaseException as err:
        return {"broken": f"{type(err).__name__}: {err}"[:300]}

def apart(expression):
    """Run one probe in a child of its own, for at most eight seconds."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        data = json.dumps(one(expression)).encode()
        while data:
            data = data[os.write(theirs, data):]
        os._exit(0)
    os.close(theirs)
    held, end = b"", time.monotonic() + 8
    while time.monotonic() < end and select.select([ours], [], [], max(0, end - time.monotonic()))[0]:
        more = os.read(ours, 65536)
        if not more:
            break
        held += more
    os.close(ours)
    try:
        os.kill(child, signal.SIGKILL)
    except OSError:
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if held:
        return json.loads(held)
    return {"denied": f"signal {-status}"} if status < 0 else {"broken": f"no answer, status {status}"}

for name, expression in WORLD["probes"]:
    print(json.dumps([name, apart(expression)]), flush=True)
'''
Row = tuple[str, str, str]

FILES: list[Row] = [
    ("a host file by its path", "denied", "read(SECRET)"),
    ("a host file through the root of 1", "denied", "read('/proc/1/root' + SECRET)"),
    ("a host file through the folder of 1", "denied", "read('/proc/1/cwd' + SECRET)"),
    ("a host file through every process", "blind", "roots()"),
    ("a host file by dots", "denied", "read('../' * 40 + SECRET.lstrip('/'))"),
    ("a host folder", "denied", "names(FOLDER)"),
    ("a link to a host file", "denied", "os.symlink(SECRET, '/tmp/l') or read('/tmp/l')"),
    ("a hard link to a host file", "denied", "os.link(SECRET, '/tmp/h')"),
    ("a link to a mounted file, then a write", "denied", "os.link('/etc/passwd', '/tmp/p') or write('/tmp/p')"),
    ("the home of root", "denied", "names('/root')"),
    ("the host's homes", "denied", "names('/home')"),
    ("the host's shadow file", "denied", "read('/etc/shadow')"),
    ("the host's machine id", "denied", "read('/etc/machine-id')"),
    ("ssh keys of the host", "denied", "names('/etc/ssh')"),
    ("shared memory of the host", "blind", "[(n, read('/dev/shm/' + n)) for n in os.listdir('/dev/shm')]"),
    ("the host's tmp", "blind", "names('/tmp')"),
    ("the host's run", "blind", "[names(p) for p in ('/run', '/var')]"),
    ("descriptors left open", "blind", "descriptors()"),
    ("a handle by number", "denied", "sys_call(304, -100, ctypes.create_string_buffer(64), 0)"),
    ("a new file in the root", "denied", "put('/x')"),
]
TRUSTED: list[Row] = [
    ("write the runner's pytest", "denied", "write('/opt/layer/pytest/__init__.py')"),
    ("add to the runner's layer", "denied", "put('/opt/layer/x.py')"),
    ("write the supervisor", "denied", "write('/opt/guest/supervisor.py')"),
    ("write the runner", "denied", "write('/opt/guest/runner.py')"),
    ("replace the runner", "denied", "os.rename('/opt/guest/runner.py', '/opt/guest/x')"),
    ("add to the interpreter", "denied", "put('/opt/python/lib/x.py')"),
    ("add to the libraries", "denied", "put('/usr/lib/x')"),
    ("add a program", "denied", "put('/usr/bin/x')"),
    ("write the list of users", "denied", "write('/etc/passwd')"),
    ("write the resolver's list", "denied", "write('/etc/resolv.conf')"),
    ("preload a library", "denied", "put('/etc/ld.so.preload')"),
    ("owner of the runner", "denied", "os.chown('/opt/guest/runner.py', 65534, 65534)"),
    ("mode of the runner", "denied", "os.chmod('/opt/guest/runner.py', 0o777)"),
    ("a mount made writable", "denied", "called('mount', b'none', b'/opt/layer', b'', 32, b'')"),
]
PROCESSES: list[Row] = [
    ("environments of all processes", "blind", "environments()"),
    ("environment of 1", "blind", "read('/proc/1/environ')"),
    ("own environment", "blind", "dict(os.environ)"),
    ("memory of 1, read", "denied", "read('/proc/1/mem')"),
    ("memory of 1, write", "denied", "write('/proc/1/mem')"),
    ("map of 1", "blind", "os.access('/proc/1/maps', os.R_OK) and read('/proc/1/maps')"),
    ("order on stdin of 1", "denied", "os.open('/proc/1/fd/0', os.O_RDONLY | os.O_NONBLOCK)"),
    ("stdout of 1", "denied", "write('/proc/1/fd/1')"),
    ("stderr of 1", "denied", "write('/proc/1/fd/2')"),
    ("trace 1", "denied", "called('ptrace', 16, 1, 0, 0)"),
    ("seize 1", "denied", "called('ptrace', 0x4206, 1, 0, 0)"),
    (
        "memory of 1 by call",
        "denied",
        "sys_call(310, 1, small(), 1, small(), 1, 0)",
    ),
    ("kill 1", "denied", "os.kill(1, 9)"),
    ("stop 1", "denied", "os.kill(1, signal.SIGSTOP)"),
    ("descriptors of 1 by pidfd", "denied", "sys_call(438, sys_call(434, 1, 0), 1, 0)"),
    ("limits of 1", "denied", "resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))"),
    ("raise own limits", "denied", "sys_call(160, 6, (ctypes.c_ulong * 2)(1 << 20, 1 << 20))"),
    ("priority", "guest", "os.setpriority(os.PRIO_PROCESS, 0, -20)"),
    (
        "processes of the host",
        "blind",
        "first_commands()",
    ),
    ("mounts", "blind", "read('/proc/self/mountinfo') + read('/proc/mounts')"),
    ("groups of control", "blind", "read('/proc/self/cgroup')"),
]
RIGHTS: list[Row] = [
    ("become root", "denied", "os.setuid(0)"),
    ("become root in all ids", "denied", "os.setresuid(0, 0, 0)"),
    ("join group 0", "denied", "os.setgid(0)"),
    ("all groups", "denied", "os.setgroups([0])"),
    ("programs that raise rights", "denied", "raised()"),
    ("a file that raises rights", "guest", "put('/tmp/s') and os.chmod('/tmp/s', 0o4755)"),
    (
        "take every capability",
        "denied",
        "sys_call(126, struct.pack('II', 0x20080522, 0), struct.pack('6I', *[0xFFFFFFFF] * 6))",
    ),
    ("ambient capability", "denied", "called('prctl', 47, 2, 21, 0, 0)"),
    ("a user namespace", "guest", "called('unshare', 0x10000000)"),
    (
        "root in a user namespace, then a mount",
        "denied",
        "called('unshare', 0x10020000) and None or called('mount', SECRET.encode(), b'/tmp', b'', 4096, b'')",
    ),
    ("a network namespace", "denied", "called('unshare', 0x40000000)"),
    ("the namespace of 1", "denied", "called('setns', os.open('/proc/1/ns/mnt', os.O_RDONLY), 0)"),
    ("another root", "denied", "os.chroot('/tmp')"),
    ("pivot the root", "denied", "sys_call(155, b'/tmp', b'/tmp')"),
    ("mount proc", "denied", "called('mount', b'proc', b'/tmp', b'proc', 0, b'')"),
    ("mount a disk", "denied", "called('mount', b'/dev/vda', b'/tmp', b'ext4', 0, b'')"),
    ("mount by the new calls", "denied", "sys_call(430, b'tmpfs', 0)"),
    ("unmount", "denied", "called('umount2', b'/proc', 2)"),
]
NETWORK: list[Row] = [
    ("a listener on the host's loopback", "denied", "joined(socket.AF_INET, ('127.0.0.1', PORT))"),
    ("the same by another name of it", "denied", "joined(socket.AF_INET, ('127.1.2.3', PORT))"),
    ("the same over IPv6", "denied", "joined(socket.AF_INET6, ('::ffff:127.0.0.1', PORT))"),
    ("a name in the abstract space of the host", "denied", "joined(socket.AF_UNIX, '\\0' + ABSTRACT)"),
    ("a socket file of the host", "denied", "joined(socket.AF_UNIX, FOLDER + '/sock')"),
    ("docker", "denied", "joined(socket.AF_UNIX, '/var/run/docker.sock')"),
    ("containerd", "denied", "joined(socket.AF_UNIX, '/run/containerd/containerd.sock')"),
    ("the bus of the system", "denied", "joined(socket.AF_UNIX, '/run/dbus/system_bus_socket')"),
    ("metadata of the cloud", "denied", "joined(socket.AF_INET, ('169.254.169.254', 80))"),
    ("metadata over IPv6", "denied", "joined(socket.AF_INET6, ('fd00:ec2::254', 80))"),
    ("an address of documentation", "denied", "joined(socket.AF_INET, ('192.0.2.7', 443))"),
    ("a private network", "denied", "joined(socket.AF_INET, ('10.0.0.1', 22))"),
    ("a question to a name server", "denied", "sent(('192.0.2.53', 53), b'\\0' * 12)"),
    ("a name", "denied", "socket.getaddrinfo('host.example', 80)"),
    ("a broadcast", "denied", "sent(('255.255.255.255', 9), b'x')"),
    ("a multicast", "denied", "sent(('224.0.0.251', 5353), b'x')"),
    ("a raw socket", "denied", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    ("a packet socket", "denied", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    ("a socket to the hypervisor", "denied", "joined(40, (2, 1024))"),
    ("a bluetooth socket", "denied", "socket.socket(31, socket.SOCK_RAW, 1)"),
    ("interfaces", "blind", "socket.if_nameindex()"),
    ("a new address", "denied", "sys_call(16, socket.socket().fileno(), 0x8916, struct.pack('16s16s', b'lo', b''))"),
    ("own loopback", "guest", "socket.create_server(('127.0.0.1', 0)).getsockname()"),
]
THERE = """/dev/mem /dev/kmem /dev/port /dev/kmsg /dev/vda /dev/sda /dev/nvme0n1 /dev/kvm /dev/loop0 /dev/loop-control
/dev/uinput /dev/dri/card0 /proc/kcore /proc/keys /proc/kallsyms /proc/sched_debug /sys/kernel/debug/x
/sys/firmware/efi/systab"""
DEVICES: list[Row] = [
    *((f"{path} is there", "denied", f"read('{path}', 16)") for path in THERE.split()),
    ("a block device made", "denied", "os.mknod('/tmp/b', 0o60600, os.makedev(254, 0)) or read('/tmp/b', 512)"),
    ("a character device made", "denied", "os.mknod('/tmp/c', 0o20600, os.makedev(1, 1)) or read('/tmp/c', 16)"),
    ("core_pattern", "denied", "write('/proc/sys/kernel/core_pattern', '|/tmp/x')"),
    ("modprobe path", "denied", "write('/proc/sys/kernel/modprobe', '/tmp/x')"),
    ("sysrq", "denied", "write('/proc/sysrq-trigger', 'b')"),
    ("uevent helper", "denied", "write('/sys/kernel/uevent_helper', '/tmp/x')"),
    ("release agent", "denied", "write('/sys/fs/cgroup/release_agent', '/tmp/x')"),
    ("own memory limit", "denied", "write('/sys/fs/cgroup/memory/memory.limit_in_bytes', '-1')"),
]
KERNEL: list[Row] = [
    ("host name", "denied", "called('sethostname', b'x', 1)"),
    ("clock", "denied", "time.clock_settime(time.CLOCK_REALTIME, 1)"),
    ("adjust the clock", "denied", "sys_call(159, struct.pack('i', 0x4000) + bytes(256))"),
    ("reboot", "denied", "called('reboot', 0x1234567)"),
    ("swap", "denied", "called('swapon', b'/tmp/x', 0)"),
    ("accounting", "denied", "called('acct', b'/tmp/x')"),
    ("quotas", "denied", "called('quotactl', 0x800002, b'/dev/vda', 0, 0)"),
    ("ports of the machine", "denied", "called('iopl', 3)"),
    ("a kernel module", "denied", "sys_call(175, b'x', 1, b'')"),
    ("a kernel module by descriptor", "denied", "sys_call(313, 0, b'', 0)"),
    ("another kernel", "denied", "sys_call(246, 0, 0, 0, 0)"),
    ("bpf", "denied", "sys_call(321, 0, bytes(128), 128)"),
    ("performance counters", "denied", "sys_call(298, struct.pack('II', 0, 112) + bytes(104), 0, -1, -1, 0)"),
    ("userfaultfd", "denied", "sys_call(323, 0)"),
    ("io_uring", "denied", "sys_call(425, 8, ctypes.create_string_buffer(256))"),
    ("fanotify", "denied", "sys_call(300, 0, 0)"),
    ("kernel log cleared", "denied", "called('klogctl', 5, 0, 0)"),
    (
        "kernel log read",
        "blind",
        "[(b := ctypes.create_string_buffer(16384)), called('klogctl', 3, b, 16383), b.value][2]",
    ),
    ("keys of the kernel", "guest", "sys_call(250, 0, -3, 1)"),
    ("kernel version", "blind", "read('/proc/version') + str(os.uname())"),
]
PROBES: tuple[Row, ...] = (*FILES, *TRUSTED, *PROCESSES, *RIGHTS, *NETWORK, *DEVICES, *KERNEL)
LOOKS = frozenset({
    "a host file by its path", "a host folder", "a link to a host file", "shared memory of the host", "own environment",
    "environments of all processes", "a listener on the host's loopback", "the same by another name of it",
    "the same over IPv6", "a name in the abstract space of the host", "a socket file of the host",
})  # fmt: skip
"""Probes that only look; they can be run without a sandbox too, and then find what was planted."""
