select
    wl_id,
    created_on,
    count(*) as screenings,
    avg(monthly_income) as average_income
from {{ ref('mart_screener_data') }}
group by wl_id, created_on
