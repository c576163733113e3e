select
    stores.town,
    orders.ordered_on,
    count(distinct orders.order_id) as orders,
    sum(orders.pieces) as pieces
from {{ ref('stg_orders') }} as orders
join {{ ref('stg_stores') }} as stores using (store_id)
group by stores.town, orders.ordered_on
