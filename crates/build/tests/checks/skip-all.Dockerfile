# check=skip=all
from scratch AS Build
MAINTAINER a
