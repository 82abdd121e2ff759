select
    s.screening_id,
    s.wl_id,
    w.name as white_label,
    s.household_size,
    s.monthly_income,
    s.created_on
from {{ ref('stg_screenings') }} s
join {{ ref('white_labels') }} w on w.wl_id = s.wl_id
