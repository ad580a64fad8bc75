"""One OpenMP thread a test worker, and no hub: spinning threads on busy cores cost a factor of 50."""

import os

os.environ.update(
    {
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MKL_NUM_THREADS": "1",
    }
)
