# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import ignite.distributed as idist

from scripts.checkpoints.model_folder import (
    PREVIOUS,
    keep_previous_model,
    pending_model,
    put_pending_model,
    settings_path,
)
from scripts.common.files import file_digest


def test_the_model_of_an_earlier_training_is_kept(tmp_path):
    keep_previous_model(tmp_path / "nothing yet")
    for round_ in ("first", "second"):
        for suffix in ("pt", "json"):
            (tmp_path / f"model.{suffix}").write_text(f"{round_} {suffix}")
        keep_previous_model(tmp_path)
        assert (tmp_path / "model.previous.pt").read_text() == f"{round_} pt"
        assert (tmp_path / "model.previous.json").read_text() == f"{round_} json"
        assert (tmp_path / "model.pt").is_file()  # until the new training has a better one
    (tmp_path / "model.json").unlink()
    keep_previous_model(tmp_path)
    assert not (tmp_path / "model.previous.json").exists()


def test_a_model_is_put_in_its_place_once_its_settings_are_there(tmp_path):
    (tmp_path / "model.pt").write_text("old")
    pending_model(tmp_path).write_text("new")
    for digest in (None, file_digest(tmp_path / "model.pt")):  # settings of the old model
        put_pending_model(tmp_path, {"sha256": digest})
        assert (tmp_path / "model.pt").read_text() == "old" and pending_model(tmp_path).is_file()
    put_pending_model(tmp_path, {"sha256": file_digest(pending_model(tmp_path))})
    assert (tmp_path / "model.pt").read_text() == "new" and list(tmp_path.iterdir()) == [tmp_path / "model.pt"]
    put_pending_model(tmp_path, {"sha256": file_digest(tmp_path / "model.pt")})  # there is none any more
    assert (tmp_path / "model.pt").read_text() == "new"


def test_settings_lie_beside_their_model(tmp_path):
    assert settings_path(tmp_path) == tmp_path / "model.json"
    assert settings_path(str(tmp_path), PREVIOUS) == tmp_path / "model.previous.json"


def test_only_the_first_process_keeps_a_model(tmp_path, monkeypatch):
    (tmp_path / "model.pt").write_text("weights")
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    keep_previous_model(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "model.pt"]
