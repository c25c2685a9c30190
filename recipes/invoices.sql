-- Invoices this week: how many were extracted, and what do they add up to, over all providers?
--
-- A row for each week and currency, the newest week first; `this_week` marks the current one. Settings in the first
-- lines: which templates and document types are invoices, and which fields hold the total and the currency.
--
-- Before you trust the total:
-- - A total may be text. "1250.00" is read as a number; "1,250.00", "12,50 EUR" and "1.250" are not, because a comma may
--   stand for thousands or for cents. Invoices without a total that can be read are in `not_read`, and not in `total`.
-- - Currencies are never added up or converted. Without a currency field the unit of the total counts (Sensible's "$"),
--   else "unknown": "$" and "USD" are two rows.
-- - The week is that of the creation of the document, not of the invoice date in it. The results of Extracta and Atlas have
--   no creation time: the time of the batch counts for Extracta, the day in the batch id for Atlas. `week` is null
--   where neither is known, so that such invoices are in the last rows and in no week.
-- - Documents that failed or are still pending are not counted. A file with several invoices counts each of them.
-- - Classification results are not counted: the invoices that they led to are in the results of the extraction.

WITH invoice_names(pattern) AS (VALUES ('%invoice%')),
total_fields(path, place) AS (
    VALUES ('/total', 1), ('/total_amount', 2), ('/amount_due', 3), ('/invoice_total', 4), ('/grand_total', 5)
),
currency_fields(path, place) AS (VALUES ('/currency', 1), ('/currency_code', 2)),
results AS (
    SELECT id, provider, batch_key, batch_id, template_name, document_type, digest, created_at FROM extracta_results
    UNION ALL SELECT id, provider, batch_key, batch_id, template_name, document_type, digest,
        created_at FROM docmap_results
    UNION ALL SELECT id, provider, batch_key, batch_id, template_name, document_type, digest,
        created_at FROM sensible_results
    UNION ALL SELECT id, provider, batch_key, batch_id, template_name, document_type, digest,
        created_at FROM atlas_results
),
batches AS (
    SELECT id, provider, template_name, created_at FROM extracta_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM docmap_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM sensible_batches
    UNION ALL SELECT id, provider, template_name, created_at FROM atlas_batches
),
fields AS (
    SELECT provider, result_key, digest, lower(path) AS path, value, unit FROM extracta_fields
    UNION ALL SELECT provider, result_key, digest, lower(path), value, unit FROM docmap_fields
    UNION ALL SELECT provider, result_key, digest, lower(path), value, unit FROM sensible_fields
    UNION ALL SELECT provider, result_key, digest, lower(path), value, unit FROM atlas_fields
),
atlas_days AS ( -- only the id of an Atlas batch holds its day: BATCH-…-20261120093000
    SELECT DISTINCT batch_id, CAST(substr(ending, 1, 4) || '-' || substr(ending, 5, 2) || '-01' AS DATE)
        + (CAST(substr(ending, 7, 2) AS INTEGER) - 1) AS day
    FROM (SELECT batch_id, right(batch_id, 14) AS ending FROM results WHERE provider = 'atlas') AS endings
    WHERE ending ~ '^20[0-9][0-9](0[1-9]|1[0-2])[0-9]{8}$'
),
invoices AS (
    SELECT results.provider, results.id, results.digest,
        CAST(date_trunc('week', coalesce(results.created_at, batches.created_at, atlas_days.day)) AS DATE) AS week
    FROM results
    LEFT JOIN batches ON batches.provider = results.provider AND batches.id = results.batch_key
    LEFT JOIN atlas_days ON results.provider = 'atlas' AND atlas_days.batch_id = results.batch_id
    WHERE EXISTS (
        SELECT 1 FROM invoice_names
        WHERE lower(coalesce(results.template_name, batches.template_name, results.document_type)) LIKE pattern
    )
),
totals AS ( -- a document may have several of these fields: take the first one with a value
    SELECT fields.*, row_number() OVER (PARTITION BY provider, result_key, digest ORDER BY place) AS nth
    FROM fields
    JOIN total_fields ON total_fields.path = fields.path
    WHERE value <> ''
),
currencies AS (
    SELECT fields.*, row_number() OVER (PARTITION BY provider, result_key, digest ORDER BY place) AS nth
    FROM fields
    JOIN currency_fields ON currency_fields.path = fields.path
    WHERE value <> ''
),
amounts AS (
    SELECT week, coalesce(upper(currencies.value), totals.unit, 'unknown') AS currency,
        CAST(CASE WHEN totals.value ~ '^-?[0-9]{1,15}([.][0-9]{1,9})?$' THEN totals.value END AS DECIMAL(24, 9)) AS amount
    FROM invoices
    LEFT JOIN totals ON totals.provider = invoices.provider AND totals.result_key = invoices.id
        AND totals.digest = invoices.digest AND totals.nth = 1
    LEFT JOIN currencies ON currencies.provider = invoices.provider AND currencies.result_key = invoices.id
        AND currencies.digest = invoices.digest AND currencies.nth = 1
)
SELECT week, coalesce(week = CAST(date_trunc('week', CURRENT_TIMESTAMP AT TIME ZONE 'UTC') AS DATE), FALSE) AS this_week,
    currency, count(*) AS invoices, CAST(sum(amount) AS DECIMAL(24, 2)) AS total,
    count(*) - count(amount) AS not_read
FROM amounts
GROUP BY week, currency
ORDER BY week DESC NULLS LAST, invoices DESC, currency
