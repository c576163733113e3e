select
    order_id,
    store_id,
    product_id,
    pieces,
    status,
    cast(ordered_on as date) as ordered_on
from {{ source('raw', 'orders') }}
