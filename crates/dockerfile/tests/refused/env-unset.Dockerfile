FROM scratch
ENV A=${B?must be there}
