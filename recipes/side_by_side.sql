-- Comparison of providers: how do they do on the same type of document?
--
-- `same` defines which documents are of the same type: the template's name, or the document type where there is no
-- template, in lower case and compared with LIKE. Adapt it to your names; each name may match one line at most. Shares are
-- of the documents that are done. A column is null where a provider gives nothing to compute it from.

WITH same(pattern, document_type) AS (
    VALUES ('%invoice%', 'invoices'), ('%receipt%', 'receipts'), ('%contract%', 'contracts'), ('%resume%', 'resumes')
),
files AS (
    SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status, completed_at,
        observed_at FROM extracta_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        completed_at, observed_at FROM docmap_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        completed_at, observed_at FROM sensible_files
    UNION ALL SELECT id, batch_key, provider, template_name, batch_id, document_type, created_at, status,
        completed_at, observed_at FROM atlas_files
),
batches AS (
    SELECT id, provider, template_name, created_at FROM extracta_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM docmap_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM sensible_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM atlas_batches
),
results AS (
    SELECT id, file_key, provider, review_status, digest, observed_at FROM extracta_results
    UNION ALL SELECT id, file_key, provider, review_status, digest, observed_at FROM docmap_results
    UNION ALL SELECT id, file_key, provider, review_status, digest, observed_at FROM sensible_results
    UNION ALL SELECT id, file_key, provider, review_status, digest, observed_at FROM atlas_results
),
fields AS (
    SELECT provider, result_key, value, confidence, digest, observed_at FROM extracta_fields
    UNION ALL SELECT provider, result_key, value, confidence, digest, observed_at FROM docmap_fields
    UNION ALL SELECT provider, result_key, value, confidence, digest, observed_at FROM sensible_fields
    UNION ALL SELECT provider, result_key, value, confidence, digest, observed_at FROM atlas_fields
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
    SELECT files.provider, files.id, files.status, files.completed_at, files.created_at,
        coalesce(files.template_name, batches.template_name, files.document_type, only_type, 'unknown type') AS template,
        CAST(date_trunc('week', coalesce(files.created_at, batches.created_at, atlas_days.day)) AS DATE) AS week
    FROM files
    LEFT JOIN batches ON batches.provider = files.provider AND batches.id = files.batch_key
    LEFT JOIN types ON types.provider = files.provider AND types.batch_key = files.batch_key
    LEFT JOIN atlas_days ON files.provider = 'atlas' AND atlas_days.batch_id = files.batch_id
),
edited AS ( -- results whose data was delivered again after their document was done; more in edits.sql
    SELECT results.provider, results.file_key
    FROM results
    JOIN files ON files.provider = results.provider AND files.id = results.file_key
    JOIN fields ON fields.provider = results.provider AND fields.result_key = results.id
    GROUP BY results.provider, results.file_key, results.id, results.observed_at, files.observed_at
    HAVING count(CASE WHEN fields.digest <> results.digest THEN 1 END) > 0
        OR (max(fields.observed_at) = results.observed_at AND results.observed_at > files.observed_at)
),
handled AS (
    SELECT provider, file_key FROM edited
    UNION
    SELECT provider, file_key FROM results WHERE review_status IS NOT NULL
),
extracted AS ( -- number, emptiness and confidence of the extracted values, by document
    SELECT results.provider, results.file_key, count(fields.result_key) AS found,
        count(CASE WHEN coalesce(value, '') = '' THEN 1 END) AS empty, sum(confidence) AS sureness,
        count(confidence) AS sure
    FROM results
    JOIN fields ON fields.provider = results.provider AND fields.result_key = results.id
        AND fields.digest = results.digest
    GROUP BY results.provider, results.file_key
)
SELECT same.document_type, documents.provider, count(*) AS documents,
    count(CASE WHEN status <> 'pending' THEN 1 END) AS done,
    CAST(count(CASE WHEN status = 'failed' THEN 1 END) AS DOUBLE PRECISION)
        / nullif(count(CASE WHEN status <> 'pending' THEN 1 END), 0) AS failed_share,
    CAST(count(CASE WHEN status = 'processed' AND handled.file_key IS NULL THEN 1 END) AS DOUBLE PRECISION)
        / nullif(count(CASE WHEN status <> 'pending' THEN 1 END), 0) AS straight_through_share,
    percentile_cont(0.5) WITHIN GROUP (
        ORDER BY CAST(extract(epoch FROM (completed_at - created_at)) AS DOUBLE PRECISION)
    ) AS median_seconds,
    CAST(sum(sureness) AS DOUBLE PRECISION) / nullif(sum(sure), 0) AS mean_confidence,
    CAST(sum(found) AS DOUBLE PRECISION) / nullif(count(found), 0) AS values_per_document,
    CAST(sum(empty) AS DOUBLE PRECISION) / nullif(sum(found), 0) AS empty_share
FROM documents
JOIN same ON lower(template) LIKE same.pattern
LEFT JOIN handled ON handled.provider = documents.provider AND handled.file_key = documents.id
LEFT JOIN extracted ON extracted.provider = documents.provider AND extracted.file_key = documents.id
GROUP BY same.document_type, documents.provider
ORDER BY same.document_type, documents.provider
