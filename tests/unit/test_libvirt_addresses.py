"""Which machine has which address: noted in one file, by one process at a time."""

import json
import os
import threading
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt.network.addresses import AddressBook
from zentry_web.adapters.compute.libvirt.network.network import choose_address

SUBNET = IPv4Network("10.77.5.0/24")


def take(book: AddressBook, vm_id: str, found: dict[IPv4Address, str] | None = None) -> IPv4Address | None:
    return book.take(vm_id, lambda taken: choose_address(SUBNET, vm_id, taken), lambda: found or {})


def test_two_that_are_made_at_once_never_get_the_same(tmp_path: Path) -> None:
    books = [AddressBook(tmp_path) for _ in range(2)]  # as of two processes
    gate, got = threading.Barrier(8), []

    def launch(number: int) -> None:
        gate.wait(30)
        got.extend(take(books[number % 2], f"vm_{number}_{count}") for count in range(20))

    threads = [threading.Thread(target=launch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == len(set(got)) == 160
    assert set(books[0].read()) == set(got)


def test_a_machine_has_one_address_until_it_is_given_back(tmp_path: Path) -> None:
    book = AddressBook(tmp_path)
    first = take(book, "vm_a")
    moved = book.take("vm_a", lambda taken: IPv4Address("10.77.5.200"), dict)
    assert moved == IPv4Address("10.77.5.200")
    assert book.read() == {moved: "vm_a"}
    assert first not in book.read()
    book.give_back("vm_a")
    book.give_back("vm_a")
    assert book.read() == {}


def test_where_none_is_free_nothing_is_noted(tmp_path: Path) -> None:
    book = AddressBook(tmp_path)
    take(book, "vm_a")
    before = book.read()
    assert book.take("vm_b", lambda taken: None, dict) is None
    assert book.read() == before


def test_without_notes_what_is_defined_counts(tmp_path: Path) -> None:
    book, there = AddressBook(tmp_path), {IPv4Address("10.77.5.9"): "vm_old"}
    found = take(book, "vm_new", there)
    assert book.read() == there | {found: "vm_new"}


@pytest.mark.parametrize("text", ["{", "[]", '{"no address": "vm_a"}'])
def test_notes_that_cannot_be_read_give_nothing_away(tmp_path: Path, text: str) -> None:
    book = AddressBook(tmp_path)
    (tmp_path / "addresses.json").write_text(text)
    with pytest.raises(ComputeRefused, match=r"addresses\.json"):
        take(book, "vm_a")
    assert (tmp_path / "addresses.json").read_text() == text


def test_notes_that_cannot_be_written_are_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = AddressBook(tmp_path)
    take(book, "vm_a")
    before = (tmp_path / "addresses.json").read_text()

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ComputeRefused, match="No space left"):
        take(book, "vm_b")
    assert (tmp_path / "addresses.json").read_text() == before
    assert json.loads(before).keys() == {str(address) for address in book.read()}
    assert not (tmp_path / "addresses.new").exists()
