select * from {{ ref('mart_screener_data') }} where monthly_income < 0
