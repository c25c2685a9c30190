-- Edits after extraction: which values did a person change?
--
-- The answer depends on the sync mode of the tables:
-- - With upserts (Append + Deduped, PyAirbyte) a value that was changed in place is overwritten. Its result is listed
--   as "delivered again": its data was delivered with another content after its document was done. A value that an
--   edit removed is "removed": its row stays, with the digest that the result had before.
-- - With every version (Append), "changed" and "removed" show the value as it was before.
-- A review decision that changes no value is no edit. No provider gives the name of the editor.

WITH files AS (
    SELECT id, provider, observed_at FROM extracta_files
    UNION ALL SELECT id, provider, observed_at FROM extracta_classification_files
    UNION ALL SELECT id, provider, observed_at FROM docmap_files
    UNION ALL SELECT id, provider, observed_at FROM sensible_files
    UNION ALL SELECT id, provider, observed_at FROM atlas_files
),
results AS (
    SELECT id, file_key, provider, template_name, batch_key, batch_id, file_id, file_name, document_type, review_status,
        digest, observed_at FROM extracta_results
    UNION ALL SELECT id, file_key, provider, template_name, batch_key, batch_id, file_id, file_name, document_type,
        review_status, digest, observed_at FROM extracta_classification_results
    UNION ALL SELECT id, file_key, provider, template_name, batch_key, batch_id, file_id, file_name, document_type,
        review_status, digest, observed_at FROM docmap_results
    UNION ALL SELECT id, file_key, provider, template_name, batch_key, batch_id, file_id, file_name, document_type,
        review_status, digest, observed_at FROM sensible_results
    UNION ALL SELECT id, file_key, provider, template_name, batch_key, batch_id, file_id, file_name, document_type,
        review_status, digest, observed_at FROM atlas_results
),
batches AS (
    SELECT id, provider, description FROM extracta_batches
    UNION ALL SELECT id, provider, description FROM extracta_classification_batches
    UNION ALL SELECT id, provider, description FROM docmap_batches
    UNION ALL SELECT id, provider, description FROM sensible_batches
    UNION ALL SELECT id, provider, description FROM atlas_batches
),
fields AS (
    SELECT id, provider, result_key, path, value, digest, observed_at FROM extracta_fields
    UNION ALL SELECT id, provider, result_key, path, value, digest, observed_at FROM extracta_classification_fields
    UNION ALL SELECT id, provider, result_key, path, value, digest, observed_at FROM docmap_fields
    UNION ALL SELECT id, provider, result_key, path, value, digest, observed_at FROM sensible_fields
    UNION ALL SELECT id, provider, result_key, path, value, digest, observed_at FROM atlas_fields
),
last_results AS (
    SELECT * FROM (
        SELECT results.*, row_number() OVER (PARTITION BY provider, id ORDER BY observed_at DESC) AS place FROM results
    ) AS versions
    WHERE place = 1
),
last_files AS (
    SELECT provider, id, max(observed_at) AS observed_at FROM files GROUP BY provider, id
),
versions AS (
    SELECT fields.*, row_number() OVER (PARTITION BY provider, id ORDER BY observed_at DESC) AS place,
        lag(digest) OVER (PARTITION BY provider, id ORDER BY observed_at) AS digest_before,
        lag(value) OVER (PARTITION BY provider, id ORDER BY observed_at) AS value_before
    FROM fields
),
by_value AS (
    SELECT provider, result_key, path, 'changed' AS what, value_before AS before, value AS after, observed_at
    FROM versions
    WHERE digest_before <> digest AND value_before IS DISTINCT FROM value
    UNION ALL
    SELECT versions.provider, versions.result_key, path, 'removed', value, NULL, last_results.observed_at
    FROM versions
    JOIN last_results ON last_results.provider = versions.provider AND last_results.id = versions.result_key
    WHERE versions.place = 1 AND versions.digest <> last_results.digest
),
delivered_again AS (
    SELECT results.provider, results.id, results.observed_at
    FROM last_results AS results
    JOIN last_files ON last_files.provider = results.provider AND last_files.id = results.file_key
    JOIN versions ON versions.provider = results.provider AND versions.result_key = results.id
        AND versions.digest = results.digest AND versions.place = 1
    LEFT JOIN by_value ON by_value.provider = results.provider AND by_value.result_key = results.id
        AND by_value.what = 'changed'
    WHERE by_value.path IS NULL
    GROUP BY results.provider, results.id, results.observed_at, last_files.observed_at
    HAVING max(versions.observed_at) = results.observed_at AND results.observed_at > last_files.observed_at
),
edits AS (
    SELECT provider, result_key, path, what, before, after, observed_at FROM by_value
    UNION ALL
    SELECT provider, id, NULL, 'delivered again', NULL, NULL, observed_at FROM delivered_again
)
SELECT edits.provider, coalesce(template_name, document_type, 'unknown type') AS template,
    coalesce(file_name, file_id) AS document, edits.result_key AS id,
    coalesce(batches.description, last_results.batch_id) AS batch, review_status, what, path, before, after,
    edits.observed_at AS seen_at
FROM edits
JOIN last_results ON last_results.provider = edits.provider AND last_results.id = edits.result_key
LEFT JOIN (
    SELECT provider, id, max(description) AS description FROM batches GROUP BY provider, id
) AS batches ON batches.provider = last_results.provider AND batches.id = last_results.batch_key
ORDER BY edits.observed_at DESC, edits.provider, edits.result_key, what, path
