"""Several ranks reading one checkpoint."""


def load_on_every_rank(task_cfg):
    """Have each rank read checkpoints itself.

    fairseq reads on rank 0 and broadcasts; that pickles a class which ``weights_only`` refuses and
    drops the metadata of the state dict, where the masks are. All ranks need to see the file.

    Args:
        task_cfg: the task's config node inside the full config.
    """
    root = task_cfg._get_parent() if hasattr(task_cfg, "_get_parent") else None
    if root is not None and root.distributed_training.distributed_world_size > 1:
        root.checkpoint.load_checkpoint_on_all_dp_ranks = True
