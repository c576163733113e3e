select
    stores.town,
    sum(revenue.revenue) as revenue
from {{ ref('revenue') }} as revenue
join {{ ref('stg_stores') }} as stores using (store_id)
group by stores.town
