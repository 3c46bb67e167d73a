# check=skip=StageNameCasing,FromAsCasing
from scratch AS Build
MAINTAINER a
