-- Stuck documents and batches: what does not get done?
--
-- Documents that have been pending for more than a day; batches that are stalled or missing; and batches that have been
-- open for so long without any pending document, because Extracta lists no document of a batch until all are done. `since`
-- is the creation time where the provider gives one, else the time of the last change.

WITH settings AS (SELECT 24 AS hours),
files AS (
    SELECT id, batch_key, provider, template_name, batch_id, file_id, file_name, document_type, provider_status,
        status, created_at, observed_at FROM extracta_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, file_id, file_name, document_type,
        provider_status, status, created_at, observed_at FROM extracta_classification_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, file_id, file_name, document_type,
        provider_status, status, created_at, observed_at FROM docmap_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, file_id, file_name, document_type,
        provider_status, status, created_at, observed_at FROM sensible_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, file_id, file_name, document_type,
        provider_status, status, created_at, observed_at FROM atlas_files
),
batches AS (
    SELECT id, provider, template_name, batch_id, description, status, files_total, created_at,
        observed_at FROM extracta_batches
    UNION ALL SELECT id, provider, template_name, batch_id, description, status, files_total, created_at,
        observed_at FROM extracta_classification_batches
    UNION ALL SELECT id, provider, template_name, batch_id, description, status, files_total, created_at,
        observed_at FROM docmap_batches
    UNION ALL SELECT id, provider, template_name, batch_id, description, status, files_total, created_at,
        observed_at FROM sensible_batches
    UNION ALL SELECT id, provider, template_name, batch_id, description, status, files_total, created_at,
        observed_at FROM atlas_batches
),
atlas_days AS ( -- only the id of an Atlas batch holds its day: BATCH-…-20261120093000
    SELECT DISTINCT batch_id, CAST(substr(ending, 1, 4) || '-' || substr(ending, 5, 2) || '-01' AS DATE)
        + (CAST(substr(ending, 7, 2) AS INTEGER) - 1) AS day
    FROM (SELECT batch_id, right(batch_id, 14) AS ending FROM batches WHERE provider = 'atlas') AS endings
    WHERE ending ~ '^20[0-9][0-9](0[1-9]|1[0-2])[0-9]{8}$'
),
waiting AS (
    SELECT files.provider, 'document' AS what, coalesce(files.template_name, files.document_type) AS template,
        coalesce(files.file_name, files.file_id) AS name, files.id,
        coalesce(batches.description, files.batch_id) AS batch, 1 AS documents,
        coalesce(files.provider_status, files.status) AS status, batches.status AS batch_status,
        coalesce(files.created_at, batches.created_at, atlas_days.day, files.observed_at) AS since
    FROM files
    LEFT JOIN batches ON batches.provider = files.provider AND batches.id = files.batch_key
    LEFT JOIN atlas_days ON files.provider = 'atlas' AND atlas_days.batch_id = files.batch_id
    WHERE files.status = 'pending'
    UNION ALL
    SELECT batches.provider, 'batch', batches.template_name, coalesce(batches.description, batches.batch_id), batches.id,
        NULL, batches.files_total, batches.status, batches.status,
        coalesce(batches.created_at, atlas_days.day, batches.observed_at)
    FROM batches
    LEFT JOIN files ON files.provider = batches.provider AND files.batch_key = batches.id AND files.status = 'pending'
    LEFT JOIN atlas_days ON batches.provider = 'atlas' AND atlas_days.batch_id = batches.batch_id
    WHERE batches.status IN ('open', 'stalled', 'missing') AND files.id IS NULL
)
SELECT provider, what, coalesce(template, 'unknown type') AS template, name, id, batch, documents, status, batch_status,
    since, CAST(floor(extract(epoch FROM (CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - since)) / 86400) AS INTEGER) AS days
FROM waiting
CROSS JOIN settings
WHERE batch_status IN ('stalled', 'missing')
    OR since < CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - hours * INTERVAL '1 hour'
ORDER BY since, provider, id
