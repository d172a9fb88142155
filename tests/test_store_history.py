"""Points in the history of a store: what happened since, and whether it is the history one knows."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmem_fast.errors import DuplicateIdError, InvalidValueError, UnknownIdError
from hmem_fast.store import Change, MemoryRecord, NewLink, TraceStore
from stores import a_key, add, ask, delete


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


class TestStamps:
    def test_a_transaction_has_one_and_each_its_own(self, folder):
        with TraceStore(folder) as store:
            with store.transaction() as transaction:
                ids = [transaction.insert_memory(text) for text in "abc"]
                transaction.update_memory(MemoryRecord(ids[0], None, "a2", "{}"))
                transaction.delete_memory(ids[1])
            add(store, "d")
        stamps = [stamp for (stamp,) in ask(folder, "SELECT stamp FROM changes ORDER BY change_seq")]
        assert len(stamps) == 6
        assert len(set(stamps[:5])) == 1
        assert len(set(stamps)) == 2
        assert all(0 <= stamp < 1 << 63 for stamp in stamps)

    def test_a_point_in_the_history_is_gone_on_from(self, folder):
        with TraceStore(folder) as store:
            assert store.changes_since(0) == Change(0, 0, (), ())
            a = add(store, "a")
            seen = store.changes_since(0)
            assert (seen.put, seen.restart) == ((a,), False)
            b = add(store, "b")
            delete(store, a)
            change = store.changes_since(seen.change_seq, seen.stamp)
            assert (change.put, change.removed, change.restart) == ((b,), (a,), False)
            assert store.changes_since(change.change_seq, change.stamp) == Change(
                change.change_seq, change.stamp, (), ()
            )

    def test_a_backup_put_back_is_another_history(self, folder, tmp_path):
        """An index that saw change 2 of the lost history must not take change 2 of the new one for it."""
        with TraceStore(folder) as store:
            a = add(store, "a")
            early = store.changes_since(0)
            store.backup(tmp_path / "saved")
            add(store, "b")
            late = store.changes_since(0)
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "saved", folder)
        with TraceStore(folder) as store:
            # Beyond the last change, and without a stamp too.
            for stamp in (late.stamp, None):
                change = store.changes_since(late.change_seq, stamp)
                assert (change.put, change.removed, change.restart) == ((a,), (), True)
                assert (change.change_seq, change.stamp) == (early.change_seq, early.stamp)
            c = add(store, "c")
            assert store.change_seq() == late.change_seq
            change = store.changes_since(late.change_seq, late.stamp)
            assert (change.put, change.removed, change.restart) == ((a, c), (), True)
            # What both histories share can be gone on from.
            change = store.changes_since(early.change_seq, early.stamp)
            assert (change.put, change.restart) == ((c,), False)

    @given(st.lists(st.lists(st.sampled_from(["put", "remove"]), max_size=3), max_size=6), st.integers(0, 20))
    def test_following_from_any_point_gives_what_is_there(self, transactions, start):
        with TraceStore(None) as store:
            known, points = set(), [(0, 0, frozenset())]
            for operations in transactions:
                with store.transaction() as transaction:
                    for operation in operations:
                        if operation == "put":
                            known.add(transaction.insert_memory("x"))
                        elif known:
                            transaction.delete_memory(known.pop())
                change = store.changes_since(0)
                points.append((change.change_seq, change.stamp, frozenset(known)))
            change_seq, stamp, held = points[start % len(points)]
            change = store.changes_since(change_seq, stamp)
            assert not change.restart
            assert (held - set(change.removed)) | set(change.put) == known
            assert store.pending(change_seq) == change.change_seq - change_seq


class TestPending:
    def test_it_counts_the_changes_after_a_point(self, folder):
        with TraceStore(folder) as store:
            assert store.pending(0) == 0
            for text in "abc":
                add(store, text)
            assert [store.pending(seq) for seq in range(5)] == [3, 2, 1, 0, 0]

    def test_a_transaction_that_was_undone_leaves_no_gap(self, folder):
        with TraceStore(folder) as store:
            add(store, "a")
            with pytest.raises(DuplicateIdError), store.transaction() as transaction:
                [transaction.insert_memory("never", external_id="x") for _ in range(2)]
            add(store, "b")
            assert store.change_seq() == 2
            assert store.pending(0) == len(ask(folder, "SELECT * FROM changes"))


class TestStoreId:
    def test_each_store_has_its_own_and_keeps_it(self, folder, tmp_path):
        with TraceStore(folder) as store, TraceStore(tmp_path / "other") as other, TraceStore(None) as third:
            assert len({store.store_id, other.store_id, third.store_id}) == 3
            assert len(bytes.fromhex(store.store_id)) == 16
            with TraceStore(folder, mode="r") as reader:
                assert reader.store_id == store.store_id
            store_id = store.store_id
        with TraceStore(folder) as store:
            assert store.store_id == store_id

    def test_it_is_no_property_of_the_use(self, folder):
        with TraceStore(folder) as store:
            assert store.properties() == {}
            with pytest.raises(InvalidValueError, match="store_id"):
                store.set_properties({"store_id": "mine"})


class TestLinks:
    def test_they_are_read_as_they_were_written_and_told_of(self, folder):
        with TraceStore(folder) as store:
            a, b, c = (add(store, text) for text in "abc")
            seq = store.change_seq()
            with store.transaction() as transaction:
                transaction.put_links([NewLink(b, a, "link", 2.5), NewLink(a, b, "use", 1.0), NewLink(a, b, "link", 3)])
                transaction.put_links([NewLink(a, b, "use", 0.5)])
            links = [(link.source, link.target, link.kind, link.weight) for link in store.links()]
            assert links == [(a, b, "link", 3.0), (a, b, "use", 0.5), (b, a, "link", 2.5)]
            assert store.links([b, c]) == store.links()[2:]
            assert len(store.links_of([b])) == 3
            change = store.changes_since(seq)
            assert (change.put, change.removed, change.linked) == ((), (), (a, b))
            assert store.changes_since(0).linked == (a, b)
            seq = store.change_seq()
            with store.transaction() as transaction:
                transaction.delete_links([(a, b, "use")])
            assert store.changes_since(seq).linked == (a,)
            assert len(store.links()) == 2
            last = max(link.link_id for link in store.links())
            with store.transaction() as transaction:
                transaction.delete_links([(a, b, "link")])
            with store.transaction() as transaction:
                transaction.put_links([NewLink(c, a, "link", 1.0)])
            assert [link[1:3] for link in store.links_after(last)] == [(c, a)], "an id was given twice"
            assert store.verify().ok

    def test_what_cannot_be_linked_changes_nothing(self, folder):
        with TraceStore(folder) as store:
            a, b = (add(store, text) for text in "ab")
            seq = store.change_seq()
            with pytest.raises(UnknownIdError, match="memory 77"), store.transaction() as transaction:
                transaction.put_links([NewLink(a, b, "link", 1.0), NewLink(b, 77, "link", 1.0)])
            assert (store.links(), store.change_seq()) == ([], seq)
            with store.transaction() as transaction:
                transaction.put_links([NewLink(a, b, "link", 1.0)])
            seq = store.change_seq()
            with pytest.raises(UnknownIdError, match="from memory 2 to memory 1"), store.transaction() as transaction:
                transaction.delete_links([(a, b, "link"), (b, a, "link")])
            assert (len(store.links()), store.change_seq()) == (1, seq)

    def test_they_go_with_a_memory_and_a_memory_may_change_and_link(self, folder):
        with TraceStore(folder) as store:
            a, b, c = (add(store, text) for text in "abc")
            with store.transaction() as transaction:
                transaction.put_links(NewLink(*pair, "link", 1.0) for pair in [(a, b), (b, c), (c, a)])
            seq = store.change_seq()
            with store.transaction() as transaction:
                transaction.update_memory(MemoryRecord(a, None, "a2", "{}"))
                transaction.put_links([NewLink(a, c, "link", 1.0), NewLink(b, a, "link", 1.0)])
                transaction.delete_memory(b)
            change = store.changes_since(seq)
            assert (change.put, change.removed, change.linked) == ((a,), (b,), (a,))
            assert [link[1:3] for link in store.links()] == [(a, c), (c, a)]


class TestPlanForget:
    def test_it_names_what_goes_along_and_changes_nothing(self, folder):
        with TraceStore(folder) as store:
            a, b, c = (add(store, text, keys=[a_key(), a_key()]) for text in "abc")
            with store.transaction() as transaction:
                transaction.put_links(NewLink(*pair, "link", 1.0) for pair in [(a, b), (b, a), (c, a), (b, c)])
            seq = store.change_seq()
            plan = store.plan_forget([a, a])
            assert (plan.memory_ids, plan.links, plan.changes) == ((a,), ((a, b), (b, a), (c, a)), 1)
            assert plan.key_ids == tuple(key.key_id for key in store.keys([a]))
            both = store.plan_forget(iter([b, a]))
            assert (both.memory_ids, both.links) == ((a, b), ((a, b), (b, a), (b, c), (c, a)))
            assert store.change_seq() == seq

            keys_before = {key.key_id for key in store.keys([a, b, c])}
            delete(store, *both.memory_ids)
            assert keys_before - {key.key_id for key in store.keys([a, b, c])} == set(both.key_ids)
            assert ask(folder, "SELECT count(*) FROM links") == [(4 - len(both.links),)]
            assert store.pending(seq) == both.changes

    def test_what_is_not_there_is_named(self, folder):
        with TraceStore(folder) as store:
            a = add(store, "a")
            with pytest.raises(UnknownIdError, match="memory 7"):
                store.plan_forget([7, a])
            assert store.plan_forget([]).memory_ids == ()
