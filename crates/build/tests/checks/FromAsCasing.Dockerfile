FROM scratch as a
from scratch AS b
