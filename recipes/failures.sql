-- Failure reasons: why do documents fail, how often, and since when?
--
-- A row for each reason of each template, the most frequent first. `share` is of all documents of that template that
-- are done.

WITH files AS (
    SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        error FROM extracta_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        error FROM extracta_classification_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        error FROM docmap_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        error FROM sensible_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        error FROM atlas_files
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
    SELECT files.provider, files.status, coalesce(files.error, 'no reason given') AS reason,
        coalesce(files.template_name, batches.template_name, files.document_type, only_type, 'unknown type') AS template,
        CAST(date_trunc('week', coalesce(files.created_at, batches.created_at, atlas_days.day)) AS DATE) AS week
    FROM files
    LEFT JOIN batches ON batches.provider = files.provider AND batches.id = files.batch_key
    LEFT JOIN types ON types.provider = files.provider AND types.batch_key = files.batch_key
    LEFT JOIN atlas_days ON files.provider = 'atlas' AND atlas_days.batch_id = files.batch_id
    WHERE files.status <> 'pending'
),
done AS (
    SELECT provider, template, count(*) AS documents FROM documents GROUP BY provider, template
)
SELECT documents.provider, documents.template, reason, count(*) AS failed,
    CAST(count(*) AS DOUBLE PRECISION) / done.documents AS share, min(week) AS first_week, max(week) AS last_week
FROM documents
JOIN done ON done.provider = documents.provider AND done.template = documents.template
WHERE status = 'failed'
GROUP BY documents.provider, documents.template, reason, done.documents
ORDER BY failed DESC, documents.provider, documents.template, reason
