"""Files of keys: written for their owner only, read with suspicion."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.security.keys import (
    ClientKeys,
    KeyPair,
    client_file_text,
    load_client_keys,
    new_key_pair,
    parse_toml,
    read_secret,
    write_secret,
)

PAIR = new_key_pair()
BROKER = new_key_pair().public


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def content(**changes: str) -> str:
    fields = {
        "name": "alice",
        "public": PAIR.public,
        "secret": PAIR.secret,
        "broker": BROKER,
        **changes,
    }
    return "".join(f"{name} = '{value}'\n" for name, value in fields.items() if value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "alice.keys"
    keys = ClientKeys("alice", PAIR, BROKER)

    write_secret(path, client_file_text(keys))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_client_keys(path) == ClientKeys("alice", PAIR, BROKER, str(path))


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "alice.keys", "precious")

    with pytest.raises(PubSubError, match="is there already"):
        write_secret(path, "new")

    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_when_that_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "alice.keys", "old", 0o644)

    write_secret(path, "new", replace=True)

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PubSubError, match="cannot write"):
        write_secret(tmp_path / "none" / "alice.keys", "text")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o777])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "alice.keys", content(), mode)

    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        load_client_keys(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "public is not a key"),
        (content(public=""), "public is not a key"),
        (content(secret=""), "secret is not a key"),
        (content(secret="x"), "secret is not a key"),
        (content(public=new_key_pair().public), "does not belong"),
        (content(broker=""), "broker is not the public key"),
        (content(name=""), "name is missing"),
        ("name = ", "not TOML"),
        ("x" * 70_000, "too large"),
    ],
)
def test_an_invalid_key_file(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path / "alice.keys", text)

    with pytest.raises(ConfigError, match=complaint) as caught:
        load_client_keys(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert PAIR.secret not in str(caught.value)


def test_a_broken_line_with_the_secret_is_not_quoted(tmp_path: Path) -> None:
    path = written(tmp_path / "alice.keys", f"secret = '{PAIR.secret}' x\n")

    with pytest.raises(ConfigError, match="not TOML") as caught:
        load_client_keys(path)

    assert str(caught.value) == f"{path}: not TOML (at line 1, column 53)"


@pytest.mark.parametrize("broken", ["x = ", "x = 1\nx = 2\n", "# secrets\n[x\n"])
def test_of_a_public_file_it_is_said_what_is_wrong_and_where(broken: str) -> None:
    with pytest.raises(ConfigError, match=r"not TOML \(.+ \(at .+\)\)$"):
        parse_toml(broken.encode(), "clients.toml", public=True)


# Pipes


def test_keys_may_come_by_a_pipe_with_a_name(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)
    # Each waits for the other, whichever is first.
    writer = threading.Thread(target=path.write_text, args=(content(),))
    writer.start()

    assert load_client_keys(path).pair == PAIR
    writer.join()


@pytest.mark.parametrize("text", [content(), "", "x" * 1000])
def test_a_pipe_whose_writer_is_gone_is_read_to_its_end(text: str) -> None:
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    path = f"/dev/fd/{reader}"
    try:
        if text == content():
            assert load_client_keys(path).pair == PAIR
            text = ""  # nobody reads it again
        complaint = "not TOML" if text else f"nothing came by the pipe {path}"
        with pytest.raises(ConfigError, match=complaint):
            load_client_keys(path)
    finally:
        os.close(reader)


def test_a_pipe_that_others_may_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    path.chmod(0o622)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)  # so that to open it does not wait
    try:
        with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
            load_client_keys(path)
    finally:
        os.close(writer)
        os.close(reader)


def test_other_files_are_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)

    with pytest.raises(ConfigError, match="not a plain file"):
        read_secret(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_client_keys(tmp_path / "none")
    with pytest.raises(ConfigError, match="neither a plain file nor a pipe"):
        load_client_keys(tmp_path)


def test_a_secret_is_not_shown() -> None:
    assert PAIR.secret not in repr(PAIR)
    assert PAIR.secret not in repr(ClientKeys("alice", PAIR, BROKER))
    assert KeyPair("a", "b") == KeyPair("a", "b")
