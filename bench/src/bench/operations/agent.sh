#!/bin/sh
# A resource agent that hangs or fails where a file says so: bench/run operations.
# OCF_RESKEY_folder/NODE.ACTION holds `hang` or `fail`.
meta() {
    cat <<END
<?xml version="1.0"?>
<resource-agent name="switch" version="1.0">
<version>1.1</version>
<longdesc lang="en">Runs a sleeper; hangs or fails where it is told to.</longdesc>
<shortdesc lang="en">a sleeper with switches</shortdesc>
<parameters>
<parameter name="folder" required="1" unique="0">
<longdesc lang="en">where the switches are</longdesc>
<shortdesc lang="en">where the switches are</shortdesc>
<content type="string"/>
</parameter>
</parameters>
<actions>
<action name="start" timeout="2s"/>
<action name="stop" timeout="2s"/>
<action name="monitor" timeout="1s" interval="1s"/>
<action name="meta-data" timeout="5s"/>
<action name="validate-all" timeout="5s"/>
</actions>
</resource-agent>
END
}
runs() {
    pid=$(cat "$STATE" 2>/dev/null) && [ -n "$pid" ] &&
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q 98766
}
case "$1" in
meta-data)
    meta
    exit 0
    ;;
validate-all) exit 0 ;;
start | stop | monitor) ;;
*) exit 3 ;;
esac
STATE=$OCF_RESKEY_folder/$STEAD_NODE.pid
case "$(cat "$OCF_RESKEY_folder/$STEAD_NODE.$1" 2>/dev/null)" in
hang) sleep 3600 ;;
fail)
    echo "ocf-exit-reason:told to fail" >&2
    exit 1
    ;;
esac
case "$1" in
start)
    if ! runs; then
        setsid sleep 98766 >/dev/null 2>&1 &
        echo $! >"$STATE"
    fi
    ;;
stop)
    if runs; then kill "$(cat "$STATE")"; fi
    rm -f "$STATE"
    ;;
monitor) runs || exit 7 ;;
esac
exit 0
