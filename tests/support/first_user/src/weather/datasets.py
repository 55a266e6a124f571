"""All datasets: 22 of them, and an archiver."""

from weather.dataset import Archiver, Dataset, GribFiles, SourceFiles, TemplateConfig

VERSIONS = {
    "ridge-snow": "0.1.0",
    "ridge-snow-forecast": "0.3.1",
    "ridge-snow-analysis-hourly": "0.2.0",
    "harbor-wind-forecast": "0.2.7",
    "harbor-wind-forecast-15-day": "1.4.0",
    "harbor-wind-analysis": "0.4.2",
    "harbor-wind-analysis-virtual": "0.0.1",
    "fjord-basin-forecast": "0.2.0",
    "fjord-basin-ens-forecast-12-day-0-25-degree": "0.3.0",
    "fjord-basin-ens-forecast-12-day-0-25-degree-virtual": "0.3.0",
    "fjord-basin-analysis-hourly": "0.3.2",
    "glacier-ice-forecast-5-day": "0.2.0",
    "glacier-ice-forecast-46-day": "0.2.0",
    "glacier-ice-analysis": "0.6.0",
    "estuary-salinity-forecast-18-hour": "0.3.0",
    "estuary-salinity-forecast-48-hour": "0.3.0",
    "estuary-salinity-analysis": "0.5.0",
    "meadow-temperature-analysis-hourly": "1.4.0",
    "meadow-temperature-forecast": "1.0.3",
    "orchard-frost-forecast": "0.2.1",
    "tide-level-analysis-v2": "2.0.0",
    "lagoon-oxygen-climatology-30-year-0-1-degree-monthly": "0.3.0",
}
DATASETS: list[Dataset[SourceFiles] | Dataset[GribFiles] | Archiver] = [
    Dataset[GribFiles](
        template_config=TemplateConfig(dataset_id=dataset_id, version=version),
        source=GribFiles(archive_schedule="0 5 * * *", secret_names=("weather-archive-key",)),
        workers_total=38,
        replicas=("weather-mirror",),
    )
    if dataset_id.startswith(("glacier-", "estuary-"))
    else Dataset[SourceFiles](
        template_config=TemplateConfig(dataset_id=dataset_id, version=version), source=SourceFiles()
    )
    for dataset_id, version in VERSIONS.items()
]
DATASETS.append(Archiver(dataset_id="glacier-ice-sources", schedule="20 3 * * *"))
