select
    store_id,
    upper(town) as town
from {{ source('raw', 'stores') }}
