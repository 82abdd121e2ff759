select
    white_label,
    sum(household_size) as people
from {{ ref('mart_screener_data') }}
group by white_label
