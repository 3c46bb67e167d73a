# check=experimental=all
# bar this is bar
ARG foo=1
# base is it
FROM scratch AS base
# wrong one
FROM scratch AS other

# empty below

ARG x
