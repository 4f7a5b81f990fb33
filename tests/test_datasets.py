"""The loaders give the frames that `data/README.md` describes."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.datasets import (
    PAGE_KINDS,
    copies_pages,
    data_path,
    folder,
    ksm_check,
    ksm_rate,
    process_pages,
    sharing_vs_copies,
)
from virtlab.validate import InvalidInputError


def test_two_copies_each_of_seven_programs() -> None:
    pages = process_pages()
    copies = pages.groupby("program", observed=True)["process"].nunique()
    assert copies.to_dict() == dict.fromkeys(
        ["python plain", "python pandas", "node", "bash", "sqlite :memory:", "java", "redis"], 2
    )
    of_program = pages["process"].astype(str).str.rsplit(" #", n=1).str[0]
    assert (of_program == pages["program"].astype(str)).all()


def test_every_page_is_there_once_in_the_order_of_address() -> None:
    pages = process_pages()
    assert not pages.duplicated(["process", "vpage"]).any()
    for _, one in pages.groupby("process", observed=True):
        assert one["vpage"].is_monotonic_increasing
    assert pages["vpage"].min() > 0
    assert pages["vpage"].max() < 2**47 // 4096  # user space of x86-64 with four-level tables


def test_content_numbers_are_dense_and_zero_is_zero() -> None:
    pages = process_pages()
    assert np.array_equal(np.unique(pages["content"]), np.arange(76922))
    assert int(pages["zero"].sum()) == 2106
    assert (pages["zero"] == (pages["content"] == 0)).all()


def test_columns_are_typed() -> None:
    pages = process_pages()
    assert list(pages["kind"].cat.categories) == list(PAGE_KINDS)
    assert pages["vpage"].dtype == pages["content"].dtype == np.int64
    assert pages["zero"].dtype == np.bool_


def test_a_changed_frame_does_not_change_the_next() -> None:
    spoilt = process_pages()
    spoilt["content"] = 7
    spoilt.loc[:, "vpage"] = 0
    assert process_pages()["content"].nunique() == 76922
    assert process_pages()["vpage"].min() > 0


def test_more_copies_save_more_and_fixed_addresses_most() -> None:
    measured = sharing_vs_copies()
    assert measured["aslr"].dtype == np.bool_
    for _, one in measured.groupby(["app", "aslr"]):
        assert one.sort_values("copies")["saved_all_pct"].is_monotonic_increasing
    wide = measured[measured["copies"] == 4].pivot_table(
        index="app", columns="aslr", values="saved_anon_pct"
    )
    assert (wide[False] > wide[True]).all()


def test_saved_is_at_most_all_but_one_copy() -> None:
    measured = sharing_vs_copies()
    # A page's own copy stays; what is above (n-1)/n is saved within one copy.
    limit = 100 * (1 - 1 / measured["copies"])
    assert (measured["saved_all_pct"] <= limit + 4).all()


def test_an_unknown_file_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(InvalidInputError, match=r"process_pages\.npz"):
        data_path("pages.parquet")


def test_a_missing_folder_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="install virtlab again"):
        folder("no such folder")


def test_four_copies_of_five_programs_both_ways() -> None:
    for random_addresses in (True, False):
        pages = copies_pages(random_addresses=random_addresses)
        copies = pages.groupby("program", observed=True)["process"].nunique()
        assert copies.to_dict() == dict.fromkeys(["bash", "python", "sqlite", "pandas", "node"], 4)
        assert np.array_equal(np.unique(pages["content"]), np.arange(pages["content"].nunique()))
        assert (pages["zero"] == (pages["content"] == 0)).all()
        assert pages["zero"].any()


def test_ksm_counted_what_was_predicted_from_the_stored_pages() -> None:
    check = ksm_check().set_index("program")
    pages = process_pages()
    for program, one in pages.groupby("program", observed=True):
        row = check.loc[str(program)]
        row = row[row["source"] == "stored"].iloc[0] if row.ndim == 2 else row
        counts = one.loc[~one["zero"], "content"].value_counts()
        assert row["pages"] == len(one)
        assert row["kernel_zero"] == one["zero"].sum()
        assert row["kernel_merged"] == counts[counts > 1].sum()  # none reaches the limit of 256
    assert (check["difference"] == 0).all()


def test_ksm_shares_nothing_before_its_second_scan() -> None:
    rate = ksm_rate()
    first_scan = rate[rate["full_scans"] == 0]
    assert len(first_scan) > 20
    assert (first_scan["merged_pages"] == 0).all()
    check = ksm_check()
    java = check[check["program"] == "java"].iloc[0]
    assert rate["merged_pages"].iloc[-1] == java["merged"]
    assert rate["zero_pages"].iloc[-1] == java["zero"]
