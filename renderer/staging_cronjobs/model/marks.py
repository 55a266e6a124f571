"""The labels and annotations by which objects and Helm's records are known to be ours, or Helm's."""

LABEL = "staging-cronjobs/"
JOB_LABEL = f"{LABEL}job."
STORES = f"{LABEL}stores"  # an annotation of each CronJob: where its version writes, as JSON
HELM_MARKS = ("helm.sh/", "meta.helm.sh/")  # by these Helm runs, keeps or adopts what it finds them on
