"""What takes the flows and their tasks long to import, imported: a process that has this begins a flow run at once.

Owns the list. Flows import what a task needs when it begins, so that a process that needs little starts fast;
`flows.serving` forks its flow runs from one that has it all. Evidently is left to the monitoring, which alone needs it:
it is a fifth of the memory.
"""

# ruff: noqa: F401 - nothing here is used
import gc

import datasketch
import jinja2
import matplotlib.backends.backend_agg
import mlflow.sklearn
import openlineage.client.facet_v2
import py3langid.langid
import sklearn.feature_extraction.text
import sklearn.linear_model
import sklearn.model_selection
import sklearn.naive_bayes
import sklearn.svm
import skops.io

import flows.adapters.datasets
import flows.adapters.drift_chart
import flows.adapters.model_card
import flows.adapters.prefect_internals
import flows.core.drift_check
import flows.core.evidence
import flows.core.leakage
import flows.core.models
import flows.monitor_and_retrain
import flows.pipeline_flow
import flows.promotion
import flows.scoring

# For good, out of the garbage collector's sight: in a child it would write to every object, and so copy 110 MB.
gc.collect()
gc.freeze()
