module staging-cronjobs/tests/controlplane/kubernetes-oldest

go 1.26.0

require k8s.io/kubernetes v1.29.15
