FROM scratch
ENV A=b C="d e" F='g h' I=j\ k
ENV old  style value  
LABEL "a b"=c d=
LABEL legacy one two
ARG A B=c D="e f"
--------
1 FROM "scratch" ""
2 Env([Pair { name: "A", value: "b", legacy: false }, Pair { name: "C", value: "\"d e\"", legacy: false }, Pair { name: "F", value: "'g h'", legacy: false }, Pair { name: "I", value: "j\\ k", legacy: false }])
3 Env([Pair { name: "old", value: "style value", legacy: true }])
4 Label([Pair { name: "\"a b\"", value: "c", legacy: false }, Pair { name: "d", value: "", legacy: false }])
5 Label([Pair { name: "legacy", value: "one two", legacy: true }])
6 Arg([Argument { name: "A", default: None, description: "" }, Argument { name: "B", default: Some("c"), description: "" }, Argument { name: "D", default: Some("\"e f\""), description: "" }])
