"""Two hundred bad command lines: each ends with one sentence on stderr, and leaves nothing.

The commands of a group run one after the other in one process; tests/cli/test_entry.py starts some in their own.
"""

import json
import os
import shlex
from pathlib import Path

import pytest

from tests.forks import Fork

# A command, `train.py` where no script is named, and how its sentence begins.
TABLE = {
    "references and Hydra's own keys": [
        (
            "latent_dim='${latent_dim}'",
            "latent_dim=${latent_dim}: the reference can't be resolved (Recursive interpolation detected); ${key}",
        ),
        (
            "latent_dim='${nope}'",
            "latent_dim=${nope}: the reference can't be resolved (Interpolation key 'nope' not found); ${key} is",
        ),
        (
            "latent_dim='${oc.env:NOPE}'",
            "latent_dim=${oc.env:NOPE}: the reference can't be resolved (Environment variable 'NOPE' not found);",
        ),
        (
            "latent_dim='${model._target_}'",
            "latent_dim=${model._target_}: the reference can't be resolved (While dereferencing interpolation",
        ),
        (
            "latent_dim='${nope:3}'",
            "latent_dim=${nope:3}: the reference can't be resolved (Unsupported interpolation type nope); ${key}",
        ),
        (
            "model.hidden_dims='[${nope}]'",
            "model.hidden_dims[0]=${nope}: the reference can't be resolved (Interpolation key 'nope' not found);",
        ),
        (
            "+model.x='${model}'",
            "model.x=${model}: the reference can't be resolved (Interpolation to parent node detected); ${key} is",
        ),
        (
            "hydra.run.dir='${nope}'",
            "hydra.run.dir=${nope}: the reference can't be resolved (Interpolation key 'nope' not found); ${key}",
        ),
        ("hydra.run.dir=", "hydra.run.dir: it is empty; it must be a folder, such as hydra.run.dir=. for this one."),
        ("hydra.run.dir=null", "hydra.run.dir=null: it must have a value."),
        (
            "hydra.run.dir=/dev/null/a",
            "/dev/null/a: Not a directory; choose another output folder (hydra.run.dir=…, of a sweep",
        ),
        (
            "hydra.output_subdir=.hydra",
            "hydra.output_subdir=.hydra: the run itself writes .hydra, once the folder is known to be its own;",
        ),
        (
            "hydra.nope=1",
            "hydra.nope: there is no such key; there are hydra.run, hydra.sweep, hydra.launcher, hydra.sweeper,",
        ),
        ("hydra.run.dri=x", "hydra.run.dri: there is no such key; did you mean hydra.run.dir?"),
        ("hydra/job_logging=nope", "hydra/job_logging=nope: there is no such choice; hydra/job_logging can be"),
        ("hydra/launcher=nope", "hydra/launcher=nope: there is no such choice; hydra/launcher can be"),
        ("hydra.callbacks=null", "hydra.callbacks=null: it must have a value."),
    ],
    "flags and grammar": [
        (
            "latent_dim='${'",
            "latent_dim=${: Hydra can't read it (extraneous input '{' expecting <EOF>); brackets must be closed,",
        ),
        ("--nope", "--nope: there is no such flag; overrides are key=value, and --hydra-help lists the flags."),
        ("--latent_dim=16", "--latent_dim=16: there is no such flag; did you mean latent_dim=16?"),
        ("--latent_dim 16", "--latent_dim: there is no such flag; did you mean latent_dim=16?"),
        ("-latent_dim=16", "-latent_dim=16: there is no such flag; did you mean latent_dim=16?"),
        ("-model=conv", "-model=conv: there is no such flag; did you mean model=conv?"),
        ("--model=conv", "--model=conv: there is no such flag; did you mean model=conv?"),
        ("--nope seed=1", "--nope: there is no such flag; overrides are key=value, and --hydra-help lists the flags."),
        ("--config-dir", "argument --config-dir/-cd: expected one argument; --hydra-help explains Hydra's flags."),
        ("--cfg=nope", "argument --cfg/-c: invalid choice: 'nope'"),
        ("--info=nope", "argument --info/-i: invalid choice: 'nope'"),
        (
            "--multirun --run",
            "argument --run/-r: not allowed with argument --multirun/-m; --hydra-help explains Hydra's flags.",
        ),
        ("-x", "-x: there is no such flag; overrides are key=value, and --hydra-help lists the flags."),
        ("latent_dim", "latent_dim: an override is written key=value, as in latent_dim=16; --help lists the keys."),
        ("=3", "=3: an override is written key=value, as in latent_dim=16; --help lists the keys."),
        (
            "latent_dim==3",
            "latent_dim==3: Hydra can't read it (extraneous input '='); brackets must be closed, and a value with",
        ),
        (
            "3=latent_dim",
            "3=latent_dim: Hydra can't read it; brackets must be closed, and a value with other characters than",
        ),
        (
            "latent_dim=3=4",
            "latent_dim=3=4: Hydra can't read it (mismatched input '=' expecting <EOF>); brackets must be closed,",
        ),
        ("latent_dim 3", "latent_dim: an override is written key=value, as in latent_dim=16; --help lists the keys."),
        ("latent_dim:3", "latent_dim:3: an override is written key=value, as in latent_dim=16; --help lists the keys."),
        ("model", "model: an override is written key=value, as in latent_dim=16; --help lists the keys."),
        (
            "'model=[mlp'",
            "model=[mlp: Hydra can't read it (no viable alternative at input '[mlp'); brackets must be closed, and",
        ),
        (
            "'model.hidden_dims=[400'",
            "model.hidden_dims=[400: Hydra can't read it (no viable alternative at input '[400'); brackets must be",
        ),
        (
            "'callbacks.x={_target_:'",
            "callbacks.x={_target_:: Hydra can't read it (no viable alternative at input '{_target_:'); brackets",
        ),
        (
            "model=ünï",
            "model=ünï: Hydra can't read it; brackets must be closed, and a value with other characters than",
        ),
        (
            "seed=1 --nope latent_dim=3",
            "--nope: there is no such flag; overrides are key=value, and --hydra-help lists the flags.",
        ),
    ],
    "multiruns": [
        (
            "hydra.sweep.dir='${nope}' -m seed=0,1",
            "hydra.sweep.dir=${nope}: the reference can't be resolved (Interpolation key 'nope' not found); ${key}",
        ),
        ("-m seed='range(0,0)'", "seed=range(0,0): there is no value in it; give some, such as seed=1,2."),
        ("-m seed='choice()'", "seed=choice(): empty choice is not legal."),
        ("-m seed=0,abc", "seed=abc: Value 'abc' of type 'str' could not be converted to Integer."),
        ("-m seed=0,-1", "seed=-1: it must be 0 or more, and finite."),
        ("-m latent_dmi=1,2", "latent_dmi: there is no such key; did you mean latent_dim?"),
        (
            "-m +x=1,2",
            "x: there is no such key; there are latent_dim, conditional, beta, seed, max_epochs, batch_size, lr,",
        ),
        ("-m init_from=null,nope", "init_from=nope: there is no such folder; it must be a run's, or the file of"),
        ("-m latent_dim=2,0", "latent_dim=0: it must be 1 or more, and at most 1,000,000."),
        ("-m model=mlp,cnov", "model=cnov: there is no such choice; model can be conv, iwae_mlp, ladder, mlp, resnet."),
        (
            "-m model=mlp,conv model.channels=[4]",
            "model.channels: there is no such key; there are model._target_, model.hidden_dims, model.activation;",
        ),
        ("-m lr='interval(0,1)'", "lr: an interval is for sweep=search; give values, such as lr=1,2."),
        (
            "-m latent_dim='${nope}' seed=0,1",
            "latent_dim=${nope}: the reference can't be resolved (Interpolation key 'nope' not found); ${key} is",
        ),
        (
            "-m latent_dim=2,'${nope}'",
            "latent_dim=${nope}: the reference can't be resolved (Interpolation key 'nope' not found); ${key} is",
        ),
        (
            "-m +callbacks.x.y=1,2",
            "callbacks.x: it must be a mapping with a _target_, the name of a class, and its arguments; it has only y.",
        ),
        (
            "-m latent_dim='${..seed}' seed=0,1",
            "latent_dim=${..seed}: the reference can't be resolved (",
        ),
        ("-m hydra.run.dir=a,b", "Sweeping over Hydra's configuration is not supported : 'hydra.run.dir=a,b'"),
        (
            "-m hydra.sweep.dir= seed=0,1",
            "hydra.sweep.dir: it is empty; it must be the folder that the sweep is to be in.",
        ),
        (
            "-m hydra.sweep.subdir=same seed=0,1",
            "hydra.sweep.subdir=same: two jobs would share this folder; leave it out.",
        ),
        (
            "-m hydra.sweep.dir=/dev/null/a seed=0,1",
            "/dev/null/a can't be written (Not a directory); free space or allow writing there, or choose",
        ),
        ("-m hydra.sweeper.params=5", "hydra.sweeper.params=5: it must be a mapping of keys to values."),
        (
            "-m hydra.sweeper.max_batch_size=0 seed=0,1",
            "hydra.sweeper.max_batch_size=0: it must be a whole number, 1 or more, or null.",
        ),
        (
            "-m hydra.sweeper.nope=3 seed=0,1",
            "hydra.sweeper.nope: there is no such key; there are hydra.sweeper._target_,",
        ),
        (
            "-m sweep=nope seed=0,1",
            "sweep=nope: there is no such choice; sweep can be grid, latent_beta, rate_distortion, search, seeds.",
        ),
        (
            "-m launcher=joblib hydra.launcher.n_jobs=abc seed=0,1",
            "hydra.launcher.n_jobs=abc: Value 'abc' of type 'str' could not be converted to Integer.",
        ),
        ("-m sweep=search hydra.sweeper.n_trials=0", "hydra.sweeper.n_trials=0: it must be a whole number, 1 or more."),
        (
            "-m sweep=search hydra.sweeper.direction=up",
            "hydra.sweeper.direction=up: it must be one of maximize, minimize, max, min.",
        ),
        (
            "-m sweep=search hydra.sweeper.metric=null",
            "hydra.sweeper.metric: it is empty, as monitor is for this objective; name a metric of a run's end,",
        ),
        (
            "-m sweep=search hydra.sweeper.params=null",
            "sweep=search: nothing to search; give values, such as lr='interval(1e-4,1e-2)'.",
        ),
        ("-m sweep=search latent_dim='interval(0,4)'", "latent_dim=0: it must be 1 or more, and at most 1,000,000."),
        ("-m sweep=search monitor_mode=max,upp", "monitor_mode=upp: it must be max or min."),
        ("seed=1 -m latent_dim=0,1", "latent_dim=0: it must be 1 or more, and at most 1,000,000."),
        ("seed=1 -m latent_dim=2,0 beta=1", "latent_dim=0: it must be 1 or more, and at most 1,000,000."),
        (
            "-m hydra.launcher.nope=1 seed=0,1",
            "hydra.launcher.nope: there is no such key; there are hydra.launcher._target_.",
        ),
    ],
    "choices and keys": [
        ("--config-dir=nowhere", "Additional config directory '"),
        ("--config-name=nope", "Cannot find primary config 'nope'. Check that it's in your config search path."),
        ("latent_dim=", "latent_dim=: Value '' of type 'str' could not be converted to Integer."),
        ("latent_dim=abc", "latent_dim=abc: Value 'abc' of type 'str' could not be converted to Integer."),
        ("latent_dim=2.5", "latent_dim=2.5: Value '2.5' of type 'float' could not be converted to Integer."),
        ("latent_dim=0", "latent_dim=0: it must be 1 or more, and at most 1,000,000."),
        ("latent_dim=null", "latent_dim=null: it must have a value."),
        ("latent_dim=true", "latent_dim=true: Value 'True' of type 'bool' could not be converted to Integer."),
        (
            "latent_dim=2,4",
            "latent_dim=2,4: several values make a sweep; add -m to the command, or write a list as [a,b].",
        ),
        (
            "latent_dim='range(1,3)'",
            "latent_dim=range(1,3): several values make a sweep; add -m to the command, or write a list as [a,b].",
        ),
        ("latent_dim=1000000000", "latent_dim=1000000000: it must be 1 or more, and at most 1,000,000."),
        ("latent_dim.x=3", "latent_dim.x: there is no such key, since latent_dim is a single value."),
        ("latent_dmi=3", "latent_dmi: there is no such key; did you mean latent_dim?"),
        ("+latent_dmi=3", "latent_dmi: there is no such key; did you mean latent_dim?"),
        ("+latent_dim=3", "+latent_dim: there is such a key; leave out the +, which adds a key."),
        ("~latent_dim", "latent_dim: it has no value; it needs one."),
        ("~latent_dmi", "~latent_dmi: there is no such key to delete."),
        ("beta=-1", "beta=-1.0: it must be 0 or more, and at most 1e+30."),
        ("beta=nan", "beta=nan: it must be 0 or more, and at most 1e+30."),
        ("model=cnov", "model=cnov: there is no such choice; model can be conv, iwae_mlp, ladder, mlp, resnet."),
        (
            "model=null",
            "model=null: a group is given the name of a choice, as in model=conv; --help lists the choices.",
        ),
        ("model=", "model=: there is no such choice; model can be conv, iwae_mlp, ladder, mlp, resnet."),
        (
            "model='{a:1}'",
            "model.a: there is no such key; there are model._target_, model.hidden_dims, model.activation;",
        ),
        (
            "model=/etc/passwd",
            "model=/etc/passwd: there is no such choice; model can be conv, iwae_mlp, ladder, mlp, resnet.",
        ),
        ("model=3", "model=3: a group is given the name of a choice, as in model=conv; --help lists the choices."),
        ("model@x=conv", "model@x: there is no such key; did you mean model?"),
        ("data=mnits", "data=mnits: there is no such choice; data can be digits, fashion_mnist, kmnist, mnist."),
        (
            "likelihood=gausian",
            "likelihood=gausian: there is no such choice; likelihood can be autoregressive, bernoulli,",
        ),
        (
            "prior=normal",
            "prior=normal: there is no such choice; prior can be flow, hierarchical, mixture, standard_normal, vamp.",
        ),
        (
            "posterior=diag",
            "posterior=diag: there is no such choice; posterior can be constant, coupling, diagonal,",
        ),
        (
            "objective=elob",
            "objective=elob: there is no such choice; objective can be ae, beta_tcvae, capacity, ciwae, elbo,",
        ),
        ("optimizer=sgd", "optimizer=sgd: there is no such choice; optimizer can be adam, adamw."),
        (
            "schedule=null",
            "schedule=null: a group is given the name of a choice, as in model=conv; --help lists the choices.",
        ),
        ("init=xavier", "init=xavier: there is no such choice; init can be he, pytorch."),
        ("init.output_gain=large", "init.output_gain=large: Value 'large' of type 'str' could not be converted to"),
        ("init.gain=2", "init.gain: there is no such key; there are init._target_, init.output_gain;"),
        ("schedule=cosnie", "schedule=cosnie: there is no such choice; schedule can be constant, cosine, iwae."),
        (
            "accelerator=tpu",
            "accelerator=tpu: there is no such choice; accelerator can be auto, cpu, ddp, ddp_cpu, default, gpu,",
        ),
        (
            "trainer=null",
            "trainer=null: a group is given the name of a choice, as in model=conv; --help lists the choices.",
        ),
        ("trainer=fast", "trainer=fast: there is no such choice; trainer can be default."),
        (
            "callbacks=null",
            "callbacks=null: a group is given the name of a choice, as in model=conv; --help lists the choices.",
        ),
        (
            "callbacks=erly_stopping",
            "callbacks=erly_stopping: there is no such choice; callbacks can be default, early_stopping, ema,",
        ),
        (
            "callbacks=3",
            "callbacks=3: a group is given the name of a choice, as in model=conv; --help lists the choices.",
        ),
        (
            "logger=tensorbord",
            "logger=tensorbord: there is no such choice; logger can be csv, mlflow, none, tensorboard, wandb.",
        ),
        (
            "logger=null",
            "logger=null: a group is given the name of a choice, as in model=conv; --help lists the choices.",
        ),
        (
            "experiment=nope",
            "experiment=nope: there is no such choice; experiment can be ciwae, iwae_k5, iwae_k50, iwae_vae_k1,",
        ),
        (
            "debug=nope",
            "debug=nope: there is no such choice; debug can be anomaly, fast_dev_run, limit, overfit, profiler.",
        ),
        (
            "sweep=nope",
            "sweep=nope: there is no such choice; sweep can be grid, latent_beta, rate_distortion, search, seeds.",
        ),
        (
            "launcher=nope",
            "launcher=nope: there is no such choice; launcher can be joblib, ray, serial, slurm, submitit_local.",
        ),
    ],
    "values": [
        ("model.hidden_dims=big", "model.hidden_dims=big: "),
        ("objective.beta=nan", "objective: beta is nan; it must be 0 or more, and finite"),
        ("latent_dim=99999999999999999999999", "latent_dim=99999999999999999999999: it must be 1 or more, and at most"),
        ("callbacks.epoch_images=null", "callbacks.epoch_images: it must be a mapping with a _target_"),
        ("accelerator=cpu accelerator.precision=16-mixed", "accelerator.precision=16-mixed: it needs a GPU"),
        ("beta=1e308", "beta=1e+308: it must be 0 or more, and at most 1e+30."),
        ("seed=-1", "seed=-1: it must be 0 or more, and finite."),
        ("max_epochs=0", "max_epochs=0: it must be 1 or more, and at most 1,000,000,000."),
        (
            "max_epochs=1000000000000000000000",
            "max_epochs=1000000000000000000000: it must be 1 or more, and at most 1,000,000,000.",
        ),
        ("batch_size=0", "batch_size=0: it must be 1 or more, and at most 1,000,000,000."),
        (
            "batch_size=5000",
            "batch_size=5000: the training split of digits has 1300 images; batch_size must be at most 1300.",
        ),
        ("lr=0", "lr=0.0: the learning rate must be above 0, and finite."),
        (
            "monitor=test/elbo",
            "monitor=test/elbo: it must be a metric of each epoch, such as val/elbo or train/loss, or null for the",
        ),
        ("monitor=val/elboo", "monitor=val/elboo: there is no such metric; did you mean val/elbo?"),
        (
            "monitor=3",
            "monitor=3: it must be a metric of each epoch, such as val/elbo or train/loss, or null for the last",
        ),
        ("init_from=nope", "init_from=nope: there is no such folder; it must be a run's, or the file of a checkpoint."),
        ("init_from=", "init_from=: it is empty; it must be a run's folder, or null for none."),
        ("init_from=.", "init_from=.: it has no checkpoints/best.ckpt; it must be the folder of a run, which has that"),
        (
            "init_from=outputs/a hydra.run.dir=outputs/a",
            "init_from=outputs/a: it is in the folder of this run itself; choose another one by hydra.run.dir=….",
        ),
        ("monitor_mode=up", "monitor_mode=up: it must be max or min."),
        ("model='{}'", "model={}: a mapping is merged into what is there, and this one is empty; choose one of conv,"),
        ("model=[mlp,conv]", "model=[mlp,conv]: it takes one choice, and several would be mixed into one."),
        ("~model", "model: it has no value; choose one of conv, iwae_mlp, ladder, mlp, resnet."),
        ("modle=conv", "modle: there is no such key; did you mean model?"),
        ("model.hidden_dims=200", "model.hidden_dims=200: it must be a list, such as [200]."),
        (
            "model.hidden_dims=[400,[200]]",
            "model.hidden_dims=[400, [200]]: its entries must be single values, neither lists nor null.",
        ),
        ("model.hidden_dims=[]", "model: hidden_dims is []; sizes must be 1 or more, and at least one is needed."),
        ("model.hidden_dims=[0]", "model: hidden_dims is [0]; sizes must be 1 or more, and at least one is needed."),
        (
            "model.hidden_dims=[1.5]",
            "model.hidden_dims=[1.5]: Value '1.5' of type 'float' could not be converted to Integer.",
        ),
        ("model.hidden_dims='{a:1}'", "model.hidden_dims={a:1}: a list and a mapping can't replace each other."),
        (
            "model.hidden_dims=[1000000000000]",
            "model: out of memory: 3,136,000.0 GB were asked for at once; smaller sizes, or a smaller latent_dim,",
        ),
        ("model.hiden_dims=[3]", "model.hiden_dims: there is no such key; did you mean model.hidden_dims?"),
        (
            "model.activation=rleu",
            "model: activation is 'rleu'; choose one of elu, gelu, leaky_relu, relu, silu, softplus, tanh.",
        ),
        ("model._target_=os.getcwd", "model._target_=os.getcwd: it makes no Module; it must be a class derived from"),
        ("data.val_size=-1", "data.val_size=-1: it must be 0 or more, and at most 1,000,000,000."),
        (
            "data.val_size=1500",
            "data.val_size=1500: digits has 1500 training images, and some must be left to train on; data.val_size",
        ),
        (
            "data.binarize=maybe",
            "data.binarize=maybe: Invalid value 'maybe', expected one of [none, dynamic, threshold].",
        ),
        (
            "data.source._target_=os.getcwd",
            "data.source._target_=os.getcwd: it makes no Source; it must be a class derived from",
        ),
        ("+data.binarise=none", "data.binarise: there is no such key; did you mean data.binarize?"),
        (
            "optimizer.wd=3",
            "optimizer.wd: there is no such key; there are optimizer._target_, optimizer.lr, optimizer.betas,",
        ),
        ("optimizer.betas=[0.9]", "optimizer.betas=[0.9]: it must be a list of 2 values."),
        (
            "optimizer.betas=[a,b]",
            "optimizer.betas=['a', 'b']: Value 'a' of type 'str' could not be converted to Float.",
        ),
        ("optimizer.lr=abc", "optimizer.lr=abc: Value 'abc' of type 'str' could not be converted to Float."),
        (
            "accelerator.accelerator=tpu",
            "accelerator.accelerator=tpu: Invalid value 'tpu', expected one of [auto, cpu, gpu, mps].",
        ),
        ("accelerator.devices=0", "accelerator.devices=0: it must be 1 or more, or -1 for all devices."),
        (
            "accelerator.devices=129",
            "accelerator.devices=129: a batch is split over the devices; it must be at most batch_size=128.",
        ),
        ("+accelerator.nodes=2", "accelerator.nodes: there is no such key; did you mean accelerator.num_nodes?"),
        ("trainer.devices=2", "trainer.devices: it is set by accelerator.devices."),
        (
            "trainer.strategy=ddp",
            "trainer.strategy: it is DDP for several processes; choose accelerator=ddp or ddp_cpu.",
        ),
        (
            "trainer.max_epochs=-1",
            "trainer.max_epochs=-1: set trainer.max_steps or trainer.max_time, or training never ends.",
        ),
        (
            "trainer.max_epochs=1000000000000000000000",
            "trainer.max_epochs=1000000000000000000000: it must be a whole number, -1 or more, and at most",
        ),
        ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val=-1: it must be 0 or more, or null."),
        (
            "trainer.val_check_interval=0",
            "trainer.val_check_interval=0: it must be a share of an epoch, or a number of batches.",
        ),
        ("+trainer.max_epoch=3", "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs?"),
        (
            "callbacks=[]",
            "callbacks: it has no value; choose one of default, early_stopping, ema, none, rare,",
        ),
        (
            "+callbacks.x._target_=os.getcwd",
            "callbacks.x._target_=os.getcwd: it makes no Callback; it must be a class derived from",
        ),
        (
            "+callbacks.x=5",
            "callbacks.x: it must be a mapping with a _target_, the name of a class, and its arguments.",
        ),
        (
            "callbacks=early_stopping callbacks.early_stopping.monitor=nope",
            "callbacks.early_stopping.monitor=nope: there is no such metric; there are train/elbo,",
        ),
        (
            "callbacks=early_stopping callbacks.early_stopping.monitor=null",
            "callbacks.early_stopping.monitor: it is null, as the key monitor is here: the last epoch is kept;",
        ),
        (
            "callbacks=early_stopping callbacks.early_stopping.patience=-1",
            "callbacks.early_stopping.patience=-1: it must be 0 or more.",
        ),
        (
            "callbacks=early_stopping data.val_size=0",
            "callbacks: EarlyStopping monitors val/elbo, and data.val_size=0 or trainer.limit_val_batches=0 leaves",
        ),
        ("logger=[]", "logger: it has no value; choose one of csv, mlflow, none, tensorboard, wandb."),
        (
            "logger.backend=5",
            "logger.backend: there is no such key; there are logger.tensorboard; +logger.backend=… adds it, where",
        ),
        (
            "+logger.backend=5",
            "logger.backend: it must be a mapping with a _target_, the name of a class, and its arguments.",
        ),
        (
            "'logger.backend={_target_: nope}'",
            "logger.backend: there is no such key; there are logger.tensorboard; +logger.backend=… adds it, where",
        ),
        (
            "'+logger.backend={_target_: nope}'",
            "logger.backend._target_=nope: nothing can be imported under that name (No module named 'nope').",
        ),
        (
            "+logger.backend._target_=os.getcwd",
            "logger.backend._target_=os.getcwd: it makes no Logger; it must be a class derived from",
        ),
        ("data=[digits,mnist]", "data=[digits,mnist]: it takes one choice, and several would be mixed into one."),
        ("trainer.deterministic=maybe", "trainer.deterministic=maybe: it must be true, false or warn."),
        ("data='{}'", "data={}: a mapping is merged into what is there, and this one is empty; choose one of digits,"),
        (
            "callbacks='{}'",
            "callbacks={}: a mapping is merged into what is there, and this one is empty; choose one of default,",
        ),
        ("accelerator=[cpu,gpu]", "accelerator=[cpu,gpu]: it takes one choice, and several would be mixed into one."),
        (
            "schedule='{}'",
            "schedule={}: a mapping is merged into what is there, and this one is empty; choose one of constant,",
        ),
    ],
    "tools": [
        ("scripts/evaluate.py", "run: it is not given, and is needed; --help says what it is."),
        ("scripts/evaluate.py run=nope", "run=nope: there is no such folder."),
        ("scripts/evaluate.py run=.", "run=.: there is no run in it; a run's folder has a file .hydra/config.yaml."),
        ("scripts/evaluate.py nope", "nope: options are written key=value; --help lists the keys."),
        ("scripts/evaluate.py rnu=.", "rnu: there is no such key; did you mean run?"),
        (
            "scripts/evaluate.py run=. checkpoint=frist",
            "checkpoint=frist: Invalid value 'frist', expected one of [best, last].",
        ),
        ("scripts/evaluate.py run=. samples=abc", "samples: there is no such key; did you mean nll.samples?"),
        (
            "scripts/evaluate.py run=. accelerator=tpu",
            "accelerator=tpu: Invalid value 'tpu', expected one of [auto, cpu, gpu, mps].",
        ),
        ("scripts/evaluate.py --nope", "--nope: options are written key=value; --help lists the keys."),
        ("scripts/evaluate.py --run=x", "--run: there is no such key; did you mean run?"),
        ("scripts/evaluate.py run='${nope}'", "run=${nope}: there is no such folder."),
        ("scripts/generate.py run=nope", "run=nope: there is no such folder."),
        (
            "scripts/generate.py what=nope run=.",
            "what: there is no such key; there are run, checkpoint, trust, accelerator, data.root, prior,",
        ),
        ("scripts/generate.py run=. temperature=nan", "temperature=nan: it must be 0 or more, and finite."),
        ("scripts/encode.py run=nope", "run=nope: there is no such folder."),
        ("scripts/encode.py run=. split=dev", "split=dev: Invalid value 'dev', expected one of [train, val, test]."),
        ("scripts/export.py run=nope", "run=nope: there is no such folder."),
        ("scripts/figures.py run=nope", "run=nope: there is no such folder."),
        ("scripts/report.py", "sweep: it is not given, and is needed; --help says what it is."),
        ("scripts/report.py sweep=nope", "nope: there is no such folder."),
        ("scripts/report.py sweep=.", ".: there is no run in it; a run's folder has a file .hydra/config.yaml."),
        ("scripts/report.py -m", "-m: options are written key=value; --help lists the keys."),
        (
            "scripts/sbatch.py nope",
            "nope: an override is written key=value, as in latent_dim=16; --help lists the keys.",
        ),
        ("scripts/sbatch.py latent_dmi=3", "latent_dmi: there is no such key; did you mean latent_dim?"),
        ("scripts/benchmark.py nope", "nope: options are written key=value; --help lists the keys."),
    ],
}


def test_the_table_has_two_hundred_different_commands() -> None:
    assert len({line for rows in TABLE.values() for line, _ in rows}) >= 200


@pytest.mark.parametrize("kind", TABLE)
def test_a_bad_command_gets_one_sentence_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    commands = tmp_path / "commands.json"
    commands.write_text(json.dumps([words(line) for line, _ in TABLE[kind]]))
    files = [tmp_path / name for name in ("results.json", "stdout", "stderr")]
    environment = {**os.environ, "COLUMNS": "120"}
    process = Fork("tests/many_commands.py", [str(commands), str(files[0])], *files[1:], environment)
    assert process.wait() == 0, files[2].read_text()
    wrong = []
    for (line, message), found in zip(TABLE[kind], json.loads(files[0].read_text()), strict=True):
        expected = {"code": 1, "stdout": "", "left": []}
        said = found.pop("stderr")
        if found != expected or not said.startswith(f"error: {message}") or len(said.splitlines()) != 1:
            wrong.append(f"{line}: {found} {said}")
    assert not wrong, "\n".join(wrong)


def words(line: str) -> list[str]:
    """The script and its words; of the data, the digits, which are here."""
    first, *rest = shlex.split(line)
    if first.startswith("scripts/"):
        return [first, *rest]
    digits = [] if any(word.startswith("data=") for word in (first, *rest)) else ["data=digits"]
    return ["train.py", *digits, first, *rest]
