FROM scratch
# check=skip=MaintainerDeprecated
MAINTAINER a
MAINTAINER b
