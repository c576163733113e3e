select
    orders.ordered_on,
    orders.store_id,
    sum(orders.pieces * products.price) as revenue
    {%- if var('revenue_is_broken') %},
    products.no_such_column
    {%- endif %}
from {{ ref('stg_orders') }} as orders
join {{ ref('products') }} as products using (product_id)
group by orders.ordered_on, orders.store_id
