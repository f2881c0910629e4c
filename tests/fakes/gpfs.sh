# A stand-in for the commands of GPFS, not GPFS: what is linked to this is one of them by its name. A node of the cluster is a
# folder nodes/NODE with `state` and a file for each file system that is mounted; `busy/NODE` keeps them from being unmounted.
cd "$ORDERLY_BED"
name=${0##*/}
echo "$name $*" >>calls
list() { while [ $# -gt 0 ]; do [ "$1" != -N ] || echo "$2" | tr , ' '; shift; done; }
case $name in
mmlscluster)
	echo 'mmlscluster:clusterSummary:HEADER:version:reserved:reserved:clusterName:clusterId:'
	echo 'mmlscluster:clusterNode:HEADER:version:reserved:reserved:nodeNumber:daemonNodeName:ipAddress:adminNodeName:'
	for node in nodes/*; do echo "mmlscluster:clusterNode:0:1:::1:${node##*/}.ib:10.0.0.1:${node##*/}.site.org:"; done
	;;
mmgetstate)
	echo 'mmgetstate::HEADER:version:reserved:reserved:nodeName:nodeNumber:state:quorum:nodesUp:totalNodes:remarks:cnfsState:'
	for node in $(list "$@"); do echo "mmgetstate::0:1:::$node.site.org:1:$(cat "nodes/$node/state"):1:2:3::(undefined):"; done
	;;
mmlsmount)
	[ ! -e changed ] || { echo 'mmlsmount::HEADER:version:host:'; exit 0; }
	echo 'mmlsmount::HEADER:version:reserved:reserved:localDevName:realDevName:owningCluster:totalNodes:nodeIP:nodeName:clusterName:'
	for at in nodes/*/fs*; do
		[ -e "$at" ] || continue
		node=${at%/*}
		echo "mmlsmount::0:1:::${at##*/}:${at##*/}:c.org:2:10.0.0.1:${node##*/}:c.org:"
	done
	;;
mmumount)
	for node in $(list "$@"); do
		if [ -e "busy/$node" ]; then echo "umount: /gpfs: target is busy." >&2; else rm -f "nodes/$node"/fs*; fi
	done
	[ ! -e busy ]
	;;
mmshutdown) for node in $(list "$@"); do rm -f "nodes/$node"/fs*; echo down >"nodes/$node/state"; done ;;
mmstartup) for node in $(list "$@"); do [ -e "slow/$node" ] || echo active >"nodes/$node/state"; done ;;
mmmount) for node in $(list "$@"); do : >"nodes/$node/$1"; done ;;
*) exit 9 ;;
esac
