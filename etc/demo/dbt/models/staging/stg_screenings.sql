select
    id as screening_id,
    wl_id,
    state,
    household_size,
    monthly_income,
    cast(created_on as date) as created_on
from {{ ref('screenings') }}
