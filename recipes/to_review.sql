-- Human review queue: which documents should a person look at first?
--
-- First the documents that the provider has under review, then those with a value of low confidence: below the
-- threshold in `settings`, which is returned as `unsure_below`. In both, the least confident first. Documents that a
-- person has decided on are left out.

WITH settings AS (SELECT 0.7 AS unsure_below),
results AS (
    SELECT id, provider, template_name, batch_key, batch_id, file_id, file_name, document_type, confidence,
        review_status, digest FROM extracta_results
    UNION ALL SELECT id, provider, template_name, batch_key, batch_id, file_id, file_name, document_type, confidence,
        review_status, digest FROM extracta_classification_results
    UNION ALL SELECT id, provider, template_name, batch_key, batch_id, file_id, file_name, document_type, confidence,
        review_status, digest FROM docmap_results
    UNION ALL SELECT id, provider, template_name, batch_key, batch_id, file_id, file_name, document_type, confidence,
        review_status, digest FROM sensible_results
    UNION ALL SELECT id, provider, template_name, batch_key, batch_id, file_id, file_name, document_type, confidence,
        review_status, digest FROM atlas_results
),
batches AS (
    SELECT id, provider, description FROM extracta_batches
    UNION ALL SELECT id, provider, description FROM extracta_classification_batches
    UNION ALL SELECT id, provider, description FROM docmap_batches
    UNION ALL SELECT id, provider, description FROM sensible_batches
    UNION ALL SELECT id, provider, description FROM atlas_batches
),
fields AS (
    SELECT provider, result_key, path, value, digest, confidence FROM extracta_fields
    UNION ALL SELECT provider, result_key, path, value, digest, confidence FROM extracta_classification_fields
    UNION ALL SELECT provider, result_key, path, value, digest, confidence FROM docmap_fields
    UNION ALL SELECT provider, result_key, path, value, digest, confidence FROM sensible_fields
    UNION ALL SELECT provider, result_key, path, value, digest, confidence FROM atlas_fields
),
confidences AS (
    SELECT provider, result_key, digest, path, value, confidence FROM fields WHERE confidence IS NOT NULL
    UNION ALL
    SELECT provider, id, digest, 'the document', document_type, confidence FROM results WHERE confidence IS NOT NULL
),
ranked AS (
    SELECT confidences.*,
        row_number() OVER (PARTITION BY provider, result_key, digest ORDER BY confidence, path) AS place,
        count(CASE WHEN confidence < unsure_below THEN 1 END) OVER (PARTITION BY provider, result_key, digest) AS unsure
    FROM confidences
    CROSS JOIN settings
)
SELECT results.provider, coalesce(template_name, document_type, 'unknown type') AS template,
    coalesce(file_name, file_id) AS document, results.id,
    coalesce(batches.description, results.batch_id) AS batch, review_status,
    CAST(least.confidence AS DOUBLE PRECISION) AS confidence, path, value, coalesce(unsure, 0) AS unsure_values,
    CAST(settings.unsure_below AS DOUBLE PRECISION) AS unsure_below
FROM results
CROSS JOIN settings
LEFT JOIN batches ON batches.provider = results.provider AND batches.id = results.batch_key
LEFT JOIN ranked AS least ON least.provider = results.provider AND least.result_key = results.id
    AND least.digest = results.digest AND place = 1
WHERE (review_status IS NULL AND unsure > 0) OR review_status = 'NEEDS_REVIEW'
ORDER BY CASE review_status WHEN 'NEEDS_REVIEW' THEN 0 ELSE 1 END, least.confidence NULLS LAST, results.provider, results.id
