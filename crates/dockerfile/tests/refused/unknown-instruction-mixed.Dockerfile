FROM scratch
Wrokdir /a
