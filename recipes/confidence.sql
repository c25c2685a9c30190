-- Mean confidence by field: how sure are the providers of each field, and does it get better or worse?
--
-- By field and week: the mean and the lowest confidence, and how many values are below the threshold in `settings`. Atlas
-- gives a confidence for each value, Sensible where a configuration returns it, Extracta's classification for the document
-- as a whole. Values from before an edit are left out.

WITH settings AS (SELECT 0.7 AS unsure_below),
files AS (
    SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status FROM extracta_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at,
        status FROM extracta_classification_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at,
        status FROM docmap_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at,
        status FROM sensible_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at,
        status FROM atlas_files
),
batches AS (
    SELECT id, provider, template_name, created_at FROM extracta_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM extracta_classification_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM docmap_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM sensible_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM atlas_batches
),
results AS (
    SELECT id, file_key, provider, digest, document_type, confidence FROM extracta_results
    UNION ALL SELECT id, file_key, provider, digest, document_type, confidence FROM extracta_classification_results
    UNION ALL SELECT id, file_key, provider, digest, document_type, confidence FROM docmap_results
    UNION ALL SELECT id, file_key, provider, digest, document_type, confidence FROM sensible_results
    UNION ALL SELECT id, file_key, provider, digest, document_type, confidence FROM atlas_results
),
fields AS (
    SELECT provider, result_key, path, digest, confidence FROM extracta_fields
    UNION ALL SELECT provider, result_key, path, digest, confidence FROM extracta_classification_fields
    UNION ALL SELECT provider, result_key, path, digest, confidence FROM docmap_fields
    UNION ALL SELECT provider, result_key, path, digest, confidence FROM sensible_fields
    UNION ALL SELECT provider, result_key, path, digest, confidence FROM atlas_fields
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
    SELECT files.provider, files.id,
        coalesce(files.template_name, batches.template_name, files.document_type, only_type, 'unknown type') AS template,
        CAST(date_trunc('week', coalesce(files.created_at, batches.created_at, atlas_days.day)) AS DATE) AS week
    FROM files
    LEFT JOIN batches ON batches.provider = files.provider AND batches.id = files.batch_key
    LEFT JOIN types ON types.provider = files.provider AND types.batch_key = files.batch_key
    LEFT JOIN atlas_days ON files.provider = 'atlas' AND atlas_days.batch_id = files.batch_id
),
confidences AS (
    SELECT results.provider, results.file_key, results.document_type,
        regexp_replace(fields.path, '/[0-9]+(/|$)', '/*\1', 'g') AS field, fields.confidence
    FROM fields
    JOIN results ON results.provider = fields.provider AND results.id = fields.result_key
        AND results.digest = fields.digest
    WHERE fields.confidence IS NOT NULL
    UNION ALL
    SELECT provider, file_key, document_type, 'the document', confidence FROM results WHERE confidence IS NOT NULL
)
SELECT confidences.provider, coalesce(confidences.document_type, documents.template) AS template, field, week,
    count(*) AS found, CAST(sum(confidence) AS DOUBLE PRECISION) / count(*) AS mean_confidence,
    CAST(min(confidence) AS DOUBLE PRECISION) AS least_confidence,
    count(CASE WHEN confidence < unsure_below THEN 1 END) AS unsure
FROM confidences
CROSS JOIN settings
JOIN documents ON documents.provider = confidences.provider AND documents.id = confidences.file_key
GROUP BY confidences.provider, coalesce(confidences.document_type, documents.template), field, week
ORDER BY confidences.provider, coalesce(confidences.document_type, documents.template), field, week
