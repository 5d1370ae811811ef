"""Reading Argo Events and Argo Workflows manifests, and writing what they do as `holdfast.yaml`."""
