"""The folder of a secure broker, and the commands that change it."""

from __future__ import annotations

import datetime
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pubsub_broker.cli import main
from pubsub_broker.security import folder_permissions
from pubsub_broker.security.key_store import KeyStore
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.security.keys import load_client_keys, new_key_pair

NOW = datetime.datetime(2027, 1, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "keys")
    store.create()
    return store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_for_its_owner(store: KeyStore) -> None:
    assert mode(store.directory) == 0o700
    assert mode(store.directory / "broker.keys") == 0o600
    assert mode(store.directory / "clients.toml") == 0o600
    assert store.clients() == {}
    assert store.policy() is None


def owners(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_uid for path in [folder, *folder.iterdir()]}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    service = 61_234
    os.chown(tmp_path, service, service)
    folder = tmp_path / "keys"

    assert main(["keygen", str(folder), "alice", "bob"]) == 0
    assert main(["enroll", "carol", "--secure", str(folder)]) == 0
    assert main(["revoke", "bob", "--secure", str(folder)]) == 0

    assert owners(folder) == dict.fromkeys(owners(folder), service)
    assert {path.stat().st_gid for path in [folder, *folder.iterdir()]} == {service}
    assert {"keys", "broker.keys", "clients.toml", "carol.keys"} <= owners(
        folder
    ).keys()


def test_no_link_leads_the_lock_elsewhere(store: KeyStore, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (store.directory / ".lock").unlink()
    (store.directory / ".lock").symlink_to(elsewhere)

    with pytest.raises(PubSubError, match=r"cannot write .*/\.lock: "):
        store.enroll("bob", now=NOW)

    assert elsewhere.read_text() == "mine"


def test_keys_that_are_there_are_kept(store: KeyStore) -> None:
    before = store.pair()

    with pytest.raises(PubSubError, match="is there already"):
        store.create()

    assert store.pair() == before


def test_an_enrolled_client_has_keys_for_this_broker(store: KeyStore) -> None:
    path = store.enroll("alice", now=NOW)

    assert path is not None
    assert mode(path) == 0o600
    keys = load_client_keys(path)
    assert keys.name == "alice"
    assert keys.broker == store.pair().public
    assert store.clients()["alice"].public == keys.pair.public


def test_a_client_can_bring_its_own_key(store: KeyStore) -> None:
    public = new_key_pair().public

    assert store.enroll("alice", public=public, days=1.5, now=NOW) is None

    alice = store.clients()["alice"]
    assert alice.public == public
    assert alice.expires == NOW + datetime.timedelta(hours=36)
    assert not (store.directory / "alice.keys").exists()


def test_neither_name_nor_key_is_enrolled_twice(store: KeyStore) -> None:
    public = new_key_pair().public
    store.enroll("alice", public=public, now=NOW)

    with pytest.raises(PubSubError, match="alice is enrolled already"):
        store.enroll("alice", now=NOW)
    with pytest.raises(PubSubError, match="alice is enrolled with this key"):
        store.enroll("bob", public=public, now=NOW)

    assert list(store.clients()) == ["alice"]


def test_the_brokers_own_key_cannot_be_a_clients(store: KeyStore) -> None:
    with pytest.raises(ConfigError, match="this is the broker's own key"):
        store.enroll("alice", public=store.pair().public, now=NOW)

    assert store.clients() == {}


def test_a_revoked_client_can_be_enrolled_with_new_keys(store: KeyStore) -> None:
    path = store.enroll("alice", now=NOW)
    assert path is not None
    before = load_client_keys(path)
    store.revoke("alice", now=NOW)
    assert store.clients()["alice"].state(NOW) == "revoked"

    store.enroll("alice", now=NOW)

    assert load_client_keys(path).pair != before.pair
    assert store.clients()["alice"].state(NOW) == "ok"


def test_only_an_enrolled_client_can_be_revoked(store: KeyStore) -> None:
    with pytest.raises(PubSubError, match="no client named bob"):
        store.revoke("bob", now=NOW)


def test_each_change_has_another_stamp(store: KeyStore) -> None:
    stamps = [store.stamp()]
    store.enroll("alice", now=NOW)
    stamps.append(store.stamp())
    store.revoke("alice", now=NOW)
    stamps.append(store.stamp())
    (store.directory / "policy.toml").write_text("[clients]\n")
    stamps.append(store.stamp())

    assert len(set(stamps)) == 4
    assert store.stamp() == stamps[-1]


@pytest.mark.parametrize(
    ("name", "mode"), [("broker.keys", 0o644), ("clients.toml", 0o664)]
)
def test_files_that_others_can_use_are_refused(
    store: KeyStore, name: str, mode: int
) -> None:
    (store.directory / name).chmod(mode)

    with pytest.raises(ConfigError, match="chmod 600"):
        (store.pair(), store.clients())


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o1777])
def test_a_folder_that_others_may_write_in_is_refused(
    store: KeyStore, mode: int
) -> None:
    store.enroll("alice", now=NOW)
    store.directory.chmod(mode)
    before = (store.directory / "clients.toml").read_bytes()

    for use in (
        store.pair,
        lambda: store.enroll("bob", now=NOW),
        lambda: store.revoke("alice", now=NOW),
    ):
        with pytest.raises(ConfigError, match=f"chmod go-w {store.directory}$"):
            use()

    assert (store.directory / "clients.toml").read_bytes() == before
    store.directory.chmod(0o755)
    assert store.pair()


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can mount")
def test_a_folder_that_nobody_can_write_in_may_have_any_mode(store: KeyStore) -> None:
    """For example secrets that are mounted into a container."""
    store.enroll("alice", now=NOW)
    store.directory.chmod(0o1777)
    script = (
        "import sys; from pubsub_broker.security.key_store import KeyStore;"
        "store = KeyStore(sys.argv[1]); store.pair(); print(*store.clients())"
    )
    said = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-euc"),
            'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; exec "$2" -c "$3" "$1"',
            *("sh", str(store.directory), sys.executable, script),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare:" in said.stderr or "mount:" in said.stderr:
        pytest.skip(f"no mounts here: {said.stderr.strip()}")

    assert said.stdout == "alice\n", said.stderr
    with pytest.raises(ConfigError, match="chmod go-w"):
        store.pair()


def test_no_keys_are_made_where_others_may_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    with pytest.raises(ConfigError, match=f"chmod go-w {tmp_path}$"):
        KeyStore(tmp_path).create()

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_others_may_replace_is_refused(store: KeyStore) -> None:
    above = store.directory.parent
    above.chmod(0o777)
    with pytest.raises(ConfigError, match=f"chmod o-w {above}$"):
        store.pair()

    above.chmod(0o1777)  # like the folder of temporary files

    assert store.pair()


def test_a_folder_of_another_user_is_refused(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = store.directory.stat().st_uid + 1
    # For this test the current user, also root, counts as another user.
    monkeypatch.setattr(folder_permissions, "_ROOT", -1)
    monkeypatch.setattr(os, "geteuid", lambda: theirs)

    with pytest.raises(ConfigError, match="belongs to another user"):
        store.pair()


def test_a_policy_of_another_user_is_refused(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = store.directory / "policy.toml"
    policy.write_text("[clients]\n")
    policy.chmod(0o660)  # a group may change it
    assert store.policy() is not None
    theirs = policy.stat().st_uid + 1
    monkeypatch.setattr(folder_permissions, "_ROOT", -1)
    monkeypatch.setattr(os, "geteuid", lambda: theirs)

    with pytest.raises(
        ConfigError, match="belongs to another user, which can change it"
    ):
        store.policy()


def test_a_policy_that_leads_nowhere_is_not_none(store: KeyStore) -> None:
    (store.directory / "policy.toml").symlink_to("elsewhere.toml")

    with pytest.raises(ConfigError, match=r"policy\.toml: it leads nowhere"):
        store.policy()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_another_mode_is_another_stamp(store: KeyStore, mode: int) -> None:
    policy = store.directory / "policy.toml"
    policy.write_text("[clients]\n")
    policy.chmod(0o666)
    before = store.stamp()
    policy.chmod(mode)

    assert store.stamp() != before


def test_a_list_of_clients_may_be_read(store: KeyStore) -> None:
    (store.directory / "clients.toml").chmod(0o644)

    assert store.clients() == {}


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="is a file"):
        KeyStore(tmp_path / "file").pair()


def test_a_folder_without_keys_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"pubsub-broker keygen {tmp_path}"):
        KeyStore(tmp_path).pair()


# The commands


def test_two_commands_and_there_is_a_secure_broker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "keys"

    assert main(["keygen", str(folder)]) == 0

    said = capsys.readouterr().out
    assert f"pubsub-broker --secure {folder}" in said
    assert f"--keys {folder}/client.keys" in said
    assert load_client_keys(folder / "client.keys").name == "client"


def test_clients_come_and_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "keys")

    assert main(["keygen", folder, "alice", "bob"]) == 0
    assert main(["enroll", "carol", "--days", "2", "--secure", folder]) == 0
    assert main(["revoke", "bob", "--secure", folder]) == 0
    assert capsys.readouterr().out.endswith("bob is revoked\n")
    assert main(["revoke", "bob", "--secure", folder]) == 0
    assert capsys.readouterr().out == "bob was revoked before\n"
    assert main(["list", "--secure", folder]) == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines] == [
        ["alice", "ok"],
        ["bob", "revoked"],
        ["carol", "ok"],
    ]
    assert lines[2][3] == "until"


def test_enrolling_a_given_key_prints_the_brokers_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "keys"
    main(["keygen", str(folder)])
    capsys.readouterr()

    public = new_key_pair().public
    assert main(["enroll", "bob", f"--public={public}", "--secure", str(folder)]) == 0

    assert f'broker = "{KeyStore(folder).pair().public}"' in capsys.readouterr().out


def complaint_of(
    words: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> str:
    """The one line of a command that exits with ``code``, about a new folder of keys,
    which replaces ``{0}``."""
    folder = str(tmp_path / "keys")
    main(["keygen", folder])
    capsys.readouterr()
    try:
        ended = main([word.format(folder) for word in words])
    except SystemExit as exit_:
        ended = int(exit_.code or 0)
    assert ended == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["keygen"], "DIR is missing: pubsub-broker keygen DIR [NAME]..."),
        (["enroll"], "NAME is missing: pubsub-broker enroll NAME [options]; try "),
        (["revoke", "--secure", "{0}"], "NAME is missing: pubsub-broker revoke NAME"),
        (["revoke", "a", "b", "--secure", "{0}"], "unexpected"),
        (["keygen", "{0}", "a", "a"], "given twice"),
        (["keygen", "{0}", "a/b"], "not a name"),
        (["enroll", "bob"], "add --secure DIR"),
        (["enroll", "a b", "--secure", "{0}"], "not a name"),
        (["enroll", "bob", "--secure", "{0}", "--days", "0"], "more than 0"),
        (["enroll", "bob", "--secure", "{0}", "--days", "abc"], "not a number of days"),
        (["enroll", "bob", "--secure", "{0}", "--days", "nan"], "not a number of days"),
        (["enroll", "bob", "--secure", "{0}", "--public", "x"], "not a key of 40"),
        (["enroll", "bob", "--secure", "{0}/none"], "pubsub-broker keygen"),
        (["list", "--secure", "{0}/none"], "pubsub-broker keygen"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    complaint: str,
) -> None:
    assert complaint in complaint_of(words, 2, tmp_path, capsys)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["keygen", "{0}"], "is there already"),
        (["enroll", "client", "--secure", "{0}"], "client is enrolled already"),
        (["revoke", "bob", "--secure", "{0}"], "no client named bob is enrolled"),
    ],
)
def test_what_the_folder_does_not_allow_is_one_line_and_exit_code_1(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    complaint: str,
) -> None:
    assert complaint in complaint_of(words, 1, tmp_path, capsys)


def fill_disk(monkeypatch: pytest.MonkeyPatch, *, writes: int) -> None:
    """Writing fails after this many files."""
    sync = os.fsync
    left = iter(range(writes))

    def full(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.parametrize("writes", [0, 1])
@pytest.mark.parametrize("words", [["keygen", "{0}/new"], ["enroll", "bob"]])
def test_a_full_disk_is_one_line_and_exit_code_1(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    writes: int,
) -> None:
    folder = str(tmp_path / "keys")
    main(["keygen", folder])
    capsys.readouterr()
    if words[0] == "enroll":
        words = [*words, "--secure", "{0}"]

    with pytest.MonkeyPatch.context() as patch:
        fill_disk(patch, writes=writes)
        assert main([word.format(folder) for word in words]) == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert error.count("\n") == 1

    if words[0] == "enroll":  # a repetition after a failure works
        assert main(["enroll", "bob", "--secure", folder]) == 0


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["keygen"], "DIR [NAME]..."),
        (["enroll"], "NAME"),
        (["revoke"], "NAME"),
        (["list"], ""),
    ],
)
def test_the_help_tells_what_is_needed_and_nothing_that_does_not_apply(
    capsys: pytest.CaptureFixture[str], words: list[str], needed: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])

    assert not end.value.code
    said = capsys.readouterr().out
    line = " ".join(["pubsub-broker", *words, needed, "[options]"])
    assert f"Usage:\n  {' '.join(line.split())}\n" in said
    for foreign in ("PUBSUB_BROKER", "--verbose", "--completion", "signal"):
        assert foreign not in said
    assert ("--config" in said) == (words != ["keygen"])


def test_a_file_of_settings_may_name_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["keygen", str(tmp_path / "keys")])
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[broker]\nsecure = "{tmp_path}/keys"\n')

    assert main(["enroll", "bob", "--config", str(settings)]) == 0
    assert main(["revoke", "bob", "--config", str(settings)]) == 0
