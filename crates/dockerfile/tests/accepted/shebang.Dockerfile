#!/usr/bin/env x
# syntax=docker/dockerfile:1
FROM scratch
--------
3 FROM "scratch" ""
