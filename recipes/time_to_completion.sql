-- Time to completion: how long does a document take, by template and week?
--
-- From its creation to its completion, in seconds: the median, the 90th percentile (nine in ten are faster), and the
-- slowest. Only DocMap and Sensible return both times of a document; the other providers are left out.

WITH files AS (
    SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        completed_at FROM extracta_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        completed_at FROM extracta_classification_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        completed_at FROM docmap_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        completed_at FROM sensible_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        completed_at FROM atlas_files
),
batches AS (
    SELECT id, provider, template_name, created_at FROM extracta_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM extracta_classification_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM docmap_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM sensible_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM atlas_batches
),
atlas_days AS ( -- only the id of an Atlas batch holds its day: BATCH-…-20261120093000
    SELECT DISTINCT batch_id, CAST(substr(ending, 1, 4) || '-' || substr(ending, 5, 2) || '-01' AS DATE)
        + (CAST(substr(ending, 7, 2) AS INTEGER) - 1) AS day
    FROM (SELECT batch_id, right(batch_id, 14) AS ending FROM files WHERE provider = 'atlas') AS endings
    WHERE ending ~ '^20[0-9][0-9](0[1-9]|1[0-2])[0-9]{8}$'
),
types AS ( -- a failed document of Atlas has no type: take that of its batch, if there is only one
    SELECT provider, batch_key, min(document_type) AS only_type FROM files
    GROUP BY provider, batch_key HAVING count(DISTINCT document_type) = 1
),
documents AS (
    SELECT files.provider,
        CAST(extract(epoch FROM (files.completed_at - files.created_at)) AS DOUBLE PRECISION) AS seconds,
        coalesce(files.template_name, batches.template_name, files.document_type, only_type, 'unknown type') AS template,
        CAST(date_trunc('week', coalesce(files.created_at, batches.created_at, atlas_days.day)) AS DATE) AS week
    FROM files
    LEFT JOIN batches ON batches.provider = files.provider AND batches.id = files.batch_key
    LEFT JOIN types ON types.provider = files.provider AND types.batch_key = files.batch_key
    LEFT JOIN atlas_days ON files.provider = 'atlas' AND atlas_days.batch_id = files.batch_id
    WHERE files.status = 'processed' AND files.completed_at >= files.created_at
)
SELECT provider, template, week, count(*) AS documents,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median_seconds,
    percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) AS nine_in_ten_seconds,
    max(seconds) AS slowest_seconds
FROM documents
GROUP BY provider, template, week
ORDER BY provider, template, week
