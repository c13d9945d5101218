# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from scripts.common.errors import InputError
from scripts.transforms.augmentation import Augment, AugmentBatch, collate
from scripts.transforms.intensity import MinMax
from scripts.transforms.soft_labels import FULL_SHARE

CPU = torch.device("cpu")


def only(monkeypatch, *names: str) -> Augment:
    """An augmentation that makes the named changes to every image, and no other."""
    monkeypatch.setattr(torch, "randint", lambda high, size: torch.full(size, high - 1))
    augment = Augment(max_changes=len(names))
    first = [Augment.changes.index(name) for name in names]
    order = first + [column for column in range(len(Augment.changes)) if column not in first]
    ranks = torch.tensor(order).argsort() / len(order)
    uniform = torch.rand

    def rand(*size: int) -> torch.Tensor:
        return ranks.expand(size) if len(size) == 2 and size[1] == len(order) else uniform(*size)

    monkeypatch.setattr(torch, "rand", rand)
    return augment


def blob(count: int = 16, height: int = 64, width: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """An image that is brighter where its label is, off the center."""
    label = torch.zeros(count, 1, height, width)
    label[:, :, 10:30, 20:60] = 1
    return (50 + 150 * label).expand(-1, 3, -1, -1).contiguous(), label


@pytest.mark.parametrize("name", Augment.changes)
def test_each_change_alone(name, monkeypatch):
    torch.manual_seed(0)
    image, label = blob()
    changed, changed_label = only(monkeypatch, name)(image, label)
    assert changed.shape == image.shape and changed_label.shape == label.shape
    assert all((changed[item] != image[item]).any() for item in range(len(image)))
    if name in ("noise", "blur", "contrast"):
        assert torch.equal(changed_label, label)
    else:
        moved = [(changed_label[item] != label[item]).any().item() for item in range(len(label))]
        assert sum(moved) >= 14  # a small turn may leave a label as it was
        assert set(changed_label.unique().tolist()) == {0, 1}
        bright = (changed[:, :1] > 150).float()  # the label still covers what is bright
        overlap = (bright * changed_label).sum((1, 2, 3)) / changed_label.sum((1, 2, 3)).clamp(min=1)
        assert overlap.min() > 0.75


def test_strengths_are_those_documented(monkeypatch):
    torch.manual_seed(0)
    image, label = blob(256)
    noisy, _ = only(monkeypatch, "noise")(image, label)
    assert (noisy - image).std().item() == pytest.approx(0.005 * 255, rel=0.02)
    dark = torch.rand(256, 3, 16, 16) * 40 + 40
    contrasted, _ = only(monkeypatch, "contrast")(dark, label)
    torch.testing.assert_close(contrasted.mean((2, 3)), dark.mean((2, 3)))
    factors = contrasted.std((2, 3)) / dark.std((2, 3))
    assert 0.5 <= factors.min() < 0.52 and 1.48 < factors.max() <= 1.5
    assert not torch.allclose(factors[:, 0], factors[:, 1])  # drawn per channel
    turned = only(monkeypatch, "rotate")(image, label)[1]
    assert not torch.equal(turned, label)
    assert turned.sum((1, 2, 3)).mean().item() == pytest.approx(800, rel=0.05)  # areas stay, whatever the sides are
    shifted = only(monkeypatch, "shift")(image, label)[1]
    centers = shifted.sum((1, 2)) @ torch.arange(96.0) / shifted.sum((1, 2, 3))
    assert centers.std() > 5


def test_a_flip_is_exact_and_undone_by_itself(monkeypatch):
    image, label = torch.rand(4, 3, 32, 48) * 255, torch.rand(4, 1, 32, 48).round()
    flipped, flipped_label = only(monkeypatch, "flip_rows", "flip_columns")(image, label)
    assert torch.equal(flipped, image.flip(2, 3)) and torch.equal(flipped_label, label.flip(2, 3))


@pytest.mark.parametrize("padding, darkest", [("zeros", 0), ("reflection", 200)])
def test_what_moves_in_from_outside(padding, darkest, monkeypatch):
    image, label = torch.full((64, 3, 32, 48), 200.0), torch.ones(64, 1, 32, 48)
    augment = only(monkeypatch, *Augment.changes[5:])  # moves alone
    augment.padding = padding
    moved, moved_label = augment(image, label)
    assert moved.min().item() == pytest.approx(darkest, abs=0.01) and moved_label.min().item() == (darkest > 0)


def test_shares_move_with_the_image_to_a_fraction_of_a_pixel(monkeypatch):
    torch.manual_seed(0)
    image, label = blob(64)
    augment = only(monkeypatch, "scale", "rotate", "shift")
    augment.label_mode = "bilinear"
    moved, moved_label = augment(image, label)
    inside = moved[:, :1] > 49.9  # where nothing moved in from outside
    torch.testing.assert_close(moved_label[inside], (moved[:, :1][inside] - 50) / 150, atol=1e-3, rtol=0)
    assert ((moved_label > 0.1) & (moved_label < 0.9)).any()


@pytest.mark.parametrize(
    "name, value, choices",
    [("padding", "border", "zeros, reflection"), ("label_mode", "bicubic", "bilinear, nearest")],
)
def test_no_such_padding_or_mode(name, value, choices):
    with pytest.raises(InputError, match=f"{name} of the augmentation is '{value}'; use one of {choices}"):
        Augment(**{name: value})


@pytest.mark.parametrize("most", ["abc", -1, 1.5, True])
def test_changes_are_counted(most):
    with pytest.raises(InputError, match=f"max_changes of the augmentation is {most!r}; give a whole number"):
        Augment(max_changes=most)


def test_from_none_to_max_changes():
    image, label = blob(400)
    torch.manual_seed(0)
    unchanged = (Augment()(image, label)[0] == image).flatten(1).all(dim=1).float().mean().item()
    assert unchanged == pytest.approx(1 / 5, abs=0.06)
    assert torch.equal(Augment(max_changes=0)(image, label)[0], image)


def test_the_seed_decides_and_the_input_stays():
    image, label = blob()
    before = image.clone(), label.clone()
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(Augment()(image, label)[0])
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert torch.equal(image, before[0]) and torch.equal(label, before[1])


def test_a_prepared_batch_is_normalized():
    torch.manual_seed(0)
    image, label = blob()
    second = torch.zeros_like(label)
    second[:, :, 40:50] = 0.2
    batch = {"image": image.to(torch.uint8), "label": (torch.cat([label, second], 1) * FULL_SHARE).to(torch.uint8)}
    prepared, labels = AugmentBatch(Augment(), MinMax())(batch, CPU, False)
    assert labels.shape == (16, 3, 64, 96) and prepared.dtype == labels.dtype == torch.float32
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(16, 64, 96))
    unmoved = AugmentBatch(Augment(max_changes=0), MinMax())(batch, CPU, False)[1]
    torch.testing.assert_close(unmoved, torch.cat([1 - label - second, label, second], 1))
    assert prepared.amin((1, 2, 3)).tolist() == [-1] * 16
    assert prepared.amax((1, 2, 3)).tolist() == pytest.approx([1] * 16)


def test_images_of_8_bits_and_deeper_ones_meet_in_a_batch():
    label = torch.zeros(1, 4, 4, dtype=torch.uint8)
    shallow, deep = torch.full((3, 4, 4), 7, dtype=torch.uint8), torch.full((3, 4, 4), 7.25)
    items = [{"image": image, "label": label} for image in (shallow, deep, shallow, deep)]
    for num_workers in (0, 1):  # a worker stacks in shared memory, whose type is that of the first image
        loader = DataLoader(items, batch_size=2, num_workers=num_workers, collate_fn=collate)
        for batch in loader:
            assert batch["image"][:, 0, 0, 0].tolist() == [7.0, 7.25]
    assert collate(items[::2])["image"].dtype == torch.uint8
