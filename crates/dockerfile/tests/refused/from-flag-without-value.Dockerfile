FROM --platform scratch
