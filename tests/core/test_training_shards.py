"""Checkpoints with a file for each process reach the disk whole, or not at all."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from tunesmith import RecipeError
from tunesmith.training import shards
from tunesmith.training.optimizer import build, parameter_groups


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Any:
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("store") / "file"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


def content(mesh: DeviceMesh, step: int) -> dict[str, Any]:
    weight = distribute_tensor(torch.arange(6.0).reshape(3, 2) + step, mesh, [Shard(0)])
    state = {"step": torch.tensor(float(step)), "exp_avg": weight * 2, "of": [weight + 1]}
    return {
        "state_dict": {"weight": weight, "number": torch.tensor(0.5)},
        "optimizer_states": [{"state": {0: state}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "global_step": step,
    }


def save(mesh: DeviceMesh, folder: Path, step: int, *names: str) -> None:
    shards.write(content(mesh, step), folder / ".last.ckpt.part", 0, 1)
    shards.publish(folder / ".last.ckpt.part", f"step-{step}", [folder / name for name in names])


def step_of(path: Path, mesh: DeviceMesh) -> int:
    return int(shards.read(path, 0, mesh)["global_step"])


def test_what_is_written_is_read_back_in_shards(mesh: DeviceMesh, tmp_path: Path) -> None:
    save(mesh, tmp_path, 4, "last.ckpt")
    back = shards.read(tmp_path / "last.ckpt", 0, mesh)
    assert back.keys() == {"state_dict", "optimizer_states", "global_step"}
    weight, first = back["state_dict"]["weight"], content(mesh, 4)["state_dict"]["weight"]
    assert isinstance(weight, DTensor)
    assert weight.placements == first.placements
    assert torch.equal(weight.full_tensor(), first.full_tensor())
    state = back["optimizer_states"][0]["state"][0]
    assert torch.equal(state["of"][0].full_tensor(), first.full_tensor() + 1)
    assert float(state["step"]) == 4.0
    assert not isinstance(back["state_dict"]["number"], DTensor)


def test_two_names_share_a_folder_and_others_are_removed(mesh: DeviceMesh, tmp_path: Path) -> None:
    save(mesh, tmp_path, 2, "best.ckpt", "last.ckpt")
    save(mesh, tmp_path, 4, "last.ckpt")
    save(mesh, tmp_path, 6, "last.ckpt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt", "step-2", "step-6"]
    save(mesh, tmp_path, 6, "last.ckpt")  # a run that was resumed comes by again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt", "step-2", "step-6-2"]
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert (step_of(moved / "best.ckpt", mesh), step_of(moved / "last.ckpt", mesh)) == (2, 6)


@pytest.mark.parametrize("moves", range(5))
def test_trap_29_the_last_checkpoint_is_whole_wherever_a_save_is_killed(
    mesh: DeviceMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    save(mesh, tmp_path, 2, "best.ckpt", "last.ckpt")
    made: list[str] = []

    def dies(name: str) -> Any:
        real = getattr(Path, name)

        def move(self: Path, *arguments: Any) -> Any:
            if len(made) == moves:
                raise KeyboardInterrupt
            made.append(name)
            return real(self, *arguments)

        return move

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "symlink_to"):
            patch.setattr(Path, name, dies(name))
        with pytest.raises(KeyboardInterrupt):
            save(mesh, tmp_path, 4, "best.ckpt", "last.ckpt")
    assert step_of(tmp_path / "last.ckpt", mesh) == 2
    assert step_of(tmp_path / "best.ckpt", mesh) == (4 if moves > 2 else 2)
    save(mesh, tmp_path, 6, "last.ckpt")
    assert step_of(tmp_path / "last.ckpt", mesh) == 6


@pytest.mark.parametrize("name", ["shard-0.pt", "meta.pt"])
def test_trap_29_a_full_disk_leaves_the_last_checkpoint_and_says_where(
    mesh: DeviceMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    save(mesh, tmp_path, 2, "last.ckpt")

    real = Path.open

    def full(self: Path, mode: str = "r", *arguments: Any) -> Any:
        return real(Path("/dev/full") if self.name == name else self, mode, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(OSError, match=r"No space left on device: .*\.last\.ckpt\.part"):
            save(mesh, tmp_path, 4, "last.ckpt")
    assert step_of(tmp_path / "last.ckpt", mesh) == 2


def test_shards_of_more_processes_are_refused(mesh: DeviceMesh, tmp_path: Path) -> None:
    save(mesh, tmp_path, 2, "last.ckpt")
    meta = tmp_path / "last.ckpt" / shards.META
    torch.save(torch.load(meta, weights_only=True) | {"shards": 2}, meta)
    with pytest.raises(RecipeError, match=r"made by 2 processes, this run has 1; set trainer\.devices"):
        shards.read(tmp_path / "last.ckpt", 0, mesh)


def test_adamw_steps_weights_in_shards_beside_whole_ones(mesh: DeviceMesh) -> None:
    def weights() -> list[torch.nn.Parameter]:
        cut = distribute_tensor(torch.linspace(-1, 1, 6).reshape(3, 2), mesh, [Shard(0)])
        return [torch.nn.Parameter(cut), torch.nn.Parameter(torch.ones(2, 2))]

    alike, mixed = weights()[:1], weights()
    kinds = []
    for trained in (alike, mixed):
        optimizer = build(lambda groups: torch.optim.AdamW(groups, lr=0.1), parameter_groups(trained))
        kinds.append([group["fused"] for group in optimizer.param_groups])
        for parameter in trained:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    assert kinds == [[True], [False]]
    torch.testing.assert_close(*(part[0].full_tensor() for part in (alike, mixed)))  # type: ignore[attr-defined]
