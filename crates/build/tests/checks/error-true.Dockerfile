# check=skip=FromAsCasing;error=true
from scratch AS Build
