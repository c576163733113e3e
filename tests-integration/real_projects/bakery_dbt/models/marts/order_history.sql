{{ config(materialized='incremental', unique_key='order_id') }}

select
    order_id,
    max(ordered_on) as ordered_on,
    {'pieces': sum(pieces), 'products': count(*)} as size
from {{ ref('stg_orders') }}
group by order_id
